"""A register map as a page for people, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from firmware_iface import map_keys
from firmware_iface.identity import wanted
from firmware_iface.line_time import explain, share
from firmware_iface.map_keys import Key
from firmware_iface.registers import Capture, Group, Register, RegisterMap, Thermal
from firmware_iface.spans import BIT_TABLES, Span, reads
from firmware_iface.wording import condition, formula, letters, number, pace, raw_numbers, reach

_TABLES = (
    ("discrete", "Discrete inputs", 2), ("coil", "Coils", 1), ("input", "Input registers", 4),
    ("holding", "Holding registers", 3),
)  # fmt: skip


def page_text(register_map: RegisterMap) -> str:
    """The page, which ends with a line feed; of one map always the same text."""
    parts = (_about, _sources, _device, _instrument, _line, _identity, _groups, _points, _documents, _watchdog, _bad,
             _commands, _power, _recipe, _heartbeat, _standby, _lanes, _zones, _states, _alarms, _models)
    return "\n".join(line for part in parts for line in part(register_map))


def _about(m: RegisterMap) -> Iterator[str]:
    yield f"# {_plain(m.title)}\n"
    if m.note:
        yield f"{_plain(m.note)}\n"
    known = {
        "Map": f"`{m.id}`, version {_plain(m.version)}, kind {m.kind}",
        "Machine": _plain(f"{m.manufacturer}, {m.model}"),
        "Fingerprint": f"`{m.fingerprint}`",
        "Firmware": ", ".join(filter(None, (_path(m.firmware), _versions(m)))),
        "Serial number": _path(m.serial), "Remote control allowed": _path(m.remote),
        "Recipe": ", ".join(filter(None, (_path(m.recipe_name), _path(m.recipe_version)))),
        "Oxygen": ", ".join(f"`{name}`" for name in m.oxygen),
    }  # fmt: skip
    yield from _table(("", ""), (row for row in known.items() if row[1]))
    yield "This page is made of the map by `edgeagent firmware page`.\n"


def _versions(m: RegisterMap) -> str:
    told = (("from", m.firmware_from), ("to", m.firmware_to))
    return " ".join(f"{word} {version}" for word, version in told if version)


def _sources(m: RegisterMap) -> Iterator[str]:
    heads = ("Document", "Page", "Status", *(("Id",) if any(s.id for s in m.sources) else ()))
    yield from _section("Sources", heads, (
        (_plain(s.title), _plain(s.page), s.status, _path(s.id))[: len(heads)] for s in m.sources
    ))  # fmt: skip


def _device(m: RegisterMap) -> Iterator[str]:
    texts = {key.name: key.text for key in map_keys.DEVICE}
    yield from _section("Device", ("Limit", "", "What it is"),
                        ((f"`{name}`", str(getattr(m.device, name)), texts[name]) for name in m.device.__slots__))


def _line(m: RegisterMap) -> Iterator[str]:
    if m.line is None:
        return
    texts = {key.name: key.text for key in map_keys.LINE}
    yield from _section("Serial line, as delivered", ("Setting", "", "What it is"),
                        ((f"`{name}`", str(getattr(m.line, name)), texts[name]) for name in m.line.__slots__))
    yield f"The groups need {share(m, m.line):.0%} of the line at the longest latency. {_plain(explain(m, m.line))}.\n"


def _identity(m: RegisterMap) -> Iterator[str]:
    rows = ((f"`{each.point}`", _plain(wanted(each)), _plain(each.text)) for each in m.identity)
    yield from _section("Identity: read at connect", ("Point", "Value", "Why"), rows)


def _instrument(m: RegisterMap) -> Iterator[str]:
    if m.instrument is None:
        return
    yield "## Instrument\n"
    yield "It speaks text; the agent puts each reading, as a float64, into four registers.\n"
    told = [("Protocol", m.instrument.protocol)]
    told += [("Poll", _code(m.instrument.poll))] if m.instrument.poll else []
    told += [("A line with values", _code(pattern)) for pattern in m.instrument.patterns]
    told += [("A line without a value", _code(pattern)) for pattern in m.instrument.not_ready]
    yield from _table(("", ""), told)
    rows = (
        (str(r.address), _code(r.mnemonic or r.group or ""), "" if r.bit is None else str(r.bit),
         f"{_code(r.unit_group)} is {_code(r.unit_is)}" if r.unit_group and r.unit_is else "")
        for r in m.instrument.readings
    )  # fmt: skip
    yield from _table(("Address", "Reading", "Bit", "Only where"), rows)


def _groups(m: RegisterMap) -> Iterator[str]:
    def row(group: Group) -> Sequence[str]:
        points = [register for register in m.registers if register.group == group.name]
        asked = ", ".join(map(_span, reads(points, m.device, m.device.max_gap)))
        return _plain(group.name), f"{group.period_ms} ms", f"{group.max_age_ms} ms", str(len(points)), asked

    yield from _section("Groups", ("Group", "Read every", "Good for", "Points", "Requests"), map(row, m.groups))


def _span(span: Span) -> str:
    return f"{span.count} of {span.table} from {span.address}"


def _points(m: RegisterMap) -> Iterator[str]:
    yield "## Points\n"
    yield "Addresses are as sent in a request; a value is good within its range only.\n"
    for table, title, function in _TABLES:
        here = sorted((r for r in m.registers if r.table == table), key=lambda r: (r.address, r.bit or 0))
        if not here:
            continue
        yield f"### {title}\n" if m.instrument else f"### {title} (read by function {function})\n"
        if table in BIT_TABLES:
            yield from _table(("Address", "Point", "Access", "What it is"),
                              ((str(r.address), f"`{r.path}`", _access(r), _plain(r.text)) for r in here))
        else:
            heads = ("Address", "Point", "Type", "Value", "Unit", "Range", "No value", "Access", "What it is")
            yield from _table(heads, map(_register, here))


def _register(r: Register) -> Sequence[str]:
    last = r.address + r.count - 1
    place = f"{r.address}.{r.bit}" if r.bit is not None else str(r.address)
    orders = [f"{name} {order}" for name, order, is_seen in (
        ("words", r.word_order, r.count > 1 and r.type != "text"), ("bytes", r.byte_order, True),
    ) if is_seen and order == "little"]  # fmt: skip
    orders += [sent] if (sent := letters(r)) else []
    return (
        f"{place} to {last}" if r.count > 1 else place, f"`{r.path}`", ", ".join((r.type, *orders)),
        "" if r.type in ("bit", "text") else formula(r).replace("*", "×"), r.unit or "",
        ", ".join(filter(None, (reach(r), pace(r)))),
        ", ".join(raw_numbers(r)), _access(r), _plain(r.text),
    )  # fmt: skip


def _access(r: Register) -> str:
    return "read, write" if r.writable else "read"


def _documents(m: RegisterMap) -> Iterator[str]:
    only = m.sources[0].title if len(m.sources) == 1 else ""
    titles = {source.id: source.title for source in m.sources if source.id}
    rows = ((f"`{r.path}`", _plain(titles.get(r.source, only)), _plain(r.page))
            for r in m.registers if r.source or r.page)  # fmt: skip
    yield from _section("Where the points are described", ("Point", "Document", "Page"), rows)


def _commands(m: RegisterMap) -> Iterator[str]:
    rows = (
        (f"`{c.name}`", f"{number(c.value)} to `{c.write}`",
         f"pulse of {c.pulse_ms} ms" if c.pulse_ms else "level",
         f"`{c.handshake} == {number(c.handshake_value)}`" if c.handshake and c.handshake_value is not None else "",
         _code(condition(c.preconditions)) if c.preconditions else "",
         f"{_code(condition(c.confirm))} within {number(c.timeout_s)} s", "yes" if c.repeatable else "never")
        for c in m.commands
    )  # fmt: skip
    heads = ("Command", "Writes", "Style", "Taken when", "Allowed when", "Has worked when", "Written again by itself")
    yield from _section("Commands", heads, rows)


def _power(m: RegisterMap) -> Iterator[str]:
    if m.power is None:
        return
    told = {"warning_s": number(m.power.warning_s), "horn": _path(m.power.horn) or "none",
            "safe_celsius": number(m.power.safe_celsius), "immediate_off": "yes" if m.power.immediate_off else "never",
            "warm_up_timeout_s": number(m.power.warm_up_timeout_s),
            "cool_down_timeout_s": number(m.power.cool_down_timeout_s)}  # fmt: skip
    yield from _section("Power", ("Key", "", "What it is"),
                        ((f"`{key.name}`", told[key.name], key.text) for key in map_keys.POWER))


def _recipe(m: RegisterMap) -> Iterator[str]:
    rows = ((str(place), f"`{path}`") for place, path in enumerate(m.recipe_order, 1) if m.lanes or m.recipe_name)
    yield from _section("Recipe: the order in which setpoints are written", ("", "Setpoint"), rows)


def _watchdog(m: RegisterMap) -> Iterator[str]:
    if m.watchdog:
        yield (f"`{m.watchdog.point}` moves while the device works: once it has stood for"
               f" {number(m.watchdog.within_s)} s, every value is stale.\n")


def _heartbeat(m: RegisterMap) -> Iterator[str]:
    beat = m.heartbeat
    rows = [(f"`{beat.point}`", f"{beat.period_ms} ms", beat.style)] if beat else []
    yield from _section("Heartbeat", ("Point", "Written every", "Style"), rows)


def _standby(m: RegisterMap) -> Iterator[str]:
    if m.standby is None:
        return
    units = {register.path: register.unit or "" for register in m.registers}
    yield from _section("Standby", ("Setpoint", "Value"), (
        (f"`{path}`", f"{number(value)} {units[path]}".strip()) for path, value in m.standby.setpoints.items()
    ))  # fmt: skip
    if m.standby.preconditions:
        yield f"Allowed when {_code(condition(m.standby.preconditions))}.\n"


def _bad(m: RegisterMap) -> Iterator[str]:
    rows = ((", ".join(map(_path, rule.points)), _code(condition(rule.when)), _plain(rule.reason)) for rule in m.bad)
    yield from _section("Values that are bad although the device gives them", ("Points", "While", "Reason"), rows)


def _lanes(m: RegisterMap) -> Iterator[str]:
    rows = (
        (str(lane.number), f"{number(lane.inlet_mm)} to {number(lane.outlet_mm)} mm", _path(lane.inlet),
         _path(lane.outlet), _path(lane.speed), _path(lane.speed_setpoint), _path(lane.width),
         _path(lane.width_setpoint),
         f"{_code(condition(lane.blocked))} for {number(lane.blocked_delay_s)} s" if lane.blocked else "",
         f"{_path(lane.scanner.code)} at {number(lane.scanner.position_mm)} mm" if lane.scanner else "")
        for lane in m.lanes
    )  # fmt: skip
    heads = ("Lane", "Barriers", "Inlet", "Outlet", "Speed", "Its setpoint", "Width", "Its setpoint", "Blocked when",
             "Barcode reader")
    yield from _section("Lanes", heads, rows)


def _zones(m: RegisterMap) -> Iterator[str]:
    rows = (
        (str(zone.number), zone.kind, f"{number(zone.length_mm)} mm from {number(zone.start_mm)} mm on",
         ", ".join(map(_path, zone.temperatures)), ", ".join(map(_path, zone.setpoints)),
         ", ".join(map(_path, zone.measures)))
        for zone in m.zones
    )  # fmt: skip
    yield from _section("Zones", ("Zone", "Kind", "Place", "Temperatures", "Setpoints", "Other numbers"), rows)


def _states(m: RegisterMap) -> Iterator[str]:
    rows = ((str(place), rule.state, _code(condition(rule.when)), _plain(rule.reason))
            for place, rule in enumerate(m.states, 1))
    yield from _section("States: the first that holds wins", ("", "State", "When", "Reason"), rows)


def _alarms(m: RegisterMap) -> Iterator[str]:
    rows = (
        (f"`{a.code}`", a.severity, _plain(a.object), _plain(a.text), _code(condition(a.when)), number(a.hysteresis),
         f"{number(a.delay_s)} s, {number(a.clear_delay_s)} s", ", ".join(a.states) or "all",
         "yes" if a.remote_reset else "no")
        for a in m.alarms
    )  # fmt: skip
    heads = ("Code", "Severity", "About", "What is wrong", "When", "Hysteresis", "Delay on, off", "In states",
             "Remote reset")
    yield from _section("Alarms", heads, rows)
    reset = m.command("alarmReset")
    if m.alarms and reset:
        yield ("`alarmReset` may reset those without remote reset too.\n" if reset.resets_all else
               "`alarmReset` is not given while one without remote reset stands.\n")


def _models(m: RegisterMap) -> Iterator[str]:
    if m.lanes:
        yield from _numbers("How boards are recognised", m.capture, map_keys.CAPTURE)
    if m.lanes and m.kind != "wave":
        yield from _numbers("Nominal model of air and board", m.thermal, map_keys.THERMAL)


def _numbers(title: str, model: Capture | Thermal, keys: Iterable[Key]) -> Iterator[str]:
    rows = ((f"`{key.name}`", number(float(getattr(model, key.name))), key.text) for key in keys)
    yield from _section(title, ("Key", "", "What it is"), rows)


def _section(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A titled table; nothing at all when it has no rows."""
    if told := list(rows):
        yield f"## {title}\n"
        yield from _table(heads, told)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _path(path: str | None) -> str:
    return f"`{path}`" if path else ""


def _code(text: str) -> str:
    """Code in a table's cell; a line end and the like are written as in a map."""
    shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text).replace("|", "\\|")
    return f"``{shown}``" if "`" in shown else f"`{shown}`"


def _plain(text: str) -> str:
    """A text of one line in which Markdown and HTML find nothing of their own."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return re.sub(r"([\\`*_\[\]<>|&#~])", r"\\\1", " ".join(printable.split()))
