"""What the agent answers, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgeagent.screen import summary
from edgeagent.tools.tables import cut, local, moment, number, printable, side_by_side, table

Answer = dict[str, Any]


def status(version: Answer, answer: Answer, alarms: list[Answer]) -> Iterator[str]:
    """The state of each machine.

    Args:
        version: of Configuration.GetSoftwareVersion. answer: of Status.Get. alarms: of Alarm.GetActive.
    """
    yield f"edgeagent {version['agent']}, {local(answer['time'])}, clock {answer['clock']}"
    for machine in answer["machines"]:
        yield ""
        since = f" since {local(machine['since'])}" if machine["since"] else ""
        yield f"{machine['machine']}  {machine['state']}{since}"
        yield f"  reason   {printable(machine['reason'])}"
        yield f"  answers  {'yes' if machine['connected'] else 'no'}"
        yield f"  control  {machine['control']}"
        yield f"  recipe   {_recipe(machine['recipe'])}"
        for lane in machine["lanes"]:
            outlet = "blocked" if lane["blocked"] else "free"
            yield f"  lane {lane['lane']}   {_boards(lane['boards'])}, outlet {outlet}"
        standing = [told["alarm"] for told in alarms if told["machine"] == machine["machine"]]
        yield f"  alarms   {len(standing) or 'none'}"
        for alarm in standing:
            yield f"    {alarm['severity']:<11}  {alarm['code']}  {printable(alarm['text'])}"


def boards(found: list[Answer], most: int | None) -> Iterator[str]:
    """One line for each record, newest first; the verdict is that of the process."""
    if not found:
        yield "no board fits"
        return
    offset = moment(found[0]["enteredAt"]).strftime("UTC%z")
    rows = [(f"entered, {offset}", "id", "verdict", "barcode", "recipe")]
    for record in found:
        entered = moment(record["enteredAt"])
        other = "" if entered.strftime("UTC%z") == offset else entered.strftime(" UTC%z")
        rows.append((f"{entered:%Y-%m-%d %H:%M:%S}{other}", record["id"], record["verdict"]["process"], _code(record),
                     record["recipe"]["name"] or "-"))  # fmt: skip
    yield from table(rows, most, whole=3)


def board(record: Answer, most: int | None) -> Iterator[str]:
    """Everything that the record of a board tells."""
    verdict, samples = record["verdict"], record["samples"]
    yield from table([
        ("board", record["id"]),
        ("barcodes", ", ".join(code["code"] for code in record["barcodes"]) or "none"),
        ("machine", f"{record['machine']['id']}, lane {record['lane']}, map {record['machine']['map']}"),
        ("recipe", _recipe(record["recipe"])),
        ("entered", local(record["enteredAt"])),
        ("left", local(record["exitedAt"])),
        ("identity", record["identity"]),
        ("verdict", f"process {verdict['process']}, profile {verdict['profile']}"),
        *(("", reason) for reason in verdict["reasons"]),
        ("samples", f"{samples['good']} good of {samples['expected']}, "
                    f"longest gap {samples['longestGapSeconds']:g} s"),
    ], None)  # fmt: skip
    yield from _zones(record, most)
    for name in ("flux", "preheat", "waves", "cooling"):
        yield from _stations(name, record.get(name, []), most)
    yield from _profile(record.get("profile"), most)


def trace(answer: Answer, most: int | None) -> Iterator[str]:
    """The way of a board in time: the estimated temperature of the board, and the values of the zones."""
    columns = [["seconds", *map(number, answer["seconds"])], ["estimated", *map(number, answer["estimated"])]]
    columns += [[name, *map(number, values)] for name, values in answer["zones"].items()]
    return side_by_side(columns, most)


def event(method: str, params: Answer, most: int | None) -> str:
    """One line for one notification; its local time without the day."""
    if method == "Event.Gap":
        gaps = ", ".join(f"{gap['from']} to {gap['to']}" for gap in params["data"]["ranges"])
        return cut(f"events are gone: {gaps}", most)
    at = moment(params["time"]).strftime("%H:%M:%S.%f")[:12]
    told = printable(summary(method, params["data"]))
    return cut(f"{at}  {params.get('sequence', '-'):>6}  {method:<28}  {told}".rstrip(), most)


def day(params: Answer) -> str:
    """The day of a notification, and the offset of local time from UTC then."""
    return moment(params["time"]).strftime("%Y-%m-%d, UTC%z")


def _zones(record: Answer, most: int | None) -> Iterator[str]:
    conveyor = record["conveyor"]
    rows = [("object", "unit", "setpoint", "at centre", "mean", "minimum", "maximum", "quality")]
    rows += [(zone["object"], zone["unit"], number(zone["setpoint"]), number(zone["atCentre"]), number(zone["mean"]),
              number(zone["minimum"]), number(zone["maximum"]), zone["quality"])
             for zone in record.get("zones") or ()]  # fmt: skip
    rows += [(each.get("object", "conveyor"), each["unit"], number(each["setpoint"]), "-", number(each["mean"]),
              number(each["minimum"]), number(each["maximum"]), each["quality"])
             for each in (conveyor, *record["oxygen"])]  # fmt: skip
    yield ""
    yield from table(rows, most)


def _stations(name: str, stations: list[Answer], most: int | None) -> Iterator[str]:
    rows = [(name, "seconds", "value", "unit", "setpoint", "at centre", "mean", "quality")]
    rows += [(str(station["zone"]), number(station["seconds"]), f"{value['object']} {value['name']}", value["unit"],
              number(value["setpoint"]), number(value["atCentre"]), number(value["mean"]), value["quality"])
             for station in stations for value in station["values"]]  # fmt: skip
    if stations:
        yield ""
        yield from table(rows, most)


def _profile(profile: Answer | None, most: int | None) -> Iterator[str]:
    if profile is None:
        return
    rows: list[tuple[str, ...]] = [("estimated", "value", "low", "high", "share %")]
    figures = {"peak": "peak", "timeAboveLiquidus": "time_above_liquidus", "soak": "soak", "maxRise": "max_rise",
               "maxFall": "max_fall"}  # fmt: skip
    limits = {limit["name"]: limit for limit in profile["limits"]}
    for key, name in figures.items():
        limit = limits.get(name, {})
        rows.append((name, number(profile[key]), *(number(limit.get(part)) for part in ("low", "high", "share"))))
    rows.append(("process window index", number(profile["processWindowIndex"]), "-", "-", "-"))
    yield ""
    yield from table(rows, most)


def _recipe(recipe: Answer) -> str:
    version = "" if recipe["version"] is None else f" v{recipe['version']}"
    return printable(f"{recipe['name']}{version}") if recipe["name"] else "unknown"


def _code(record: Answer) -> str:
    code: str = record["barcodes"][0]["code"] if record["barcodes"] else "-"
    return code


def _boards(count: int) -> str:
    return "1 board" if count == 1 else f"{count} boards"
