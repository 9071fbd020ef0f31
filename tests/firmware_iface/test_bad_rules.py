import pytest

from firmware_iface import catalog
from firmware_iface.pages import page_text
from firmware_iface.registers import Term

TEXT = """\
map = { id = "small", version = "1", title = "A scale", kind = "instrument" }
machine = { manufacturer = "M", model = "N" }
[groups.fast]
period_ms = 100
defaults = { table = "input", type = "uint16" }
[groups.fast.points]
"scale/load" = { address = 1 }
"scale/status" = { address = 2 }
"scale/name" = { address = 3, type = "text", length = 4 }
[groups.slow]
period_ms = 1000
points = { "scale/error" = { table = "input", address = 9, type = "uint16" } }
[[bad]]
points = ["scale/load"]
when = ["scale/status >= 4"]
reason = "overloaded"
"""


def load(folder, text):
    (folder / "map.toml").write_text(text)
    return catalog.load(folder / "map.toml")


def test_a_rule_is_read_as_written_and_told_on_the_page(tmp_path):
    register_map = load(tmp_path, TEXT)
    (rule,) = register_map.bad
    assert rule.points == ("scale/load",)
    assert rule.when == (Term("scale/status", None, ">=", 4.0),)
    assert "| `scale/load` | `scale/status >= 4` | overloaded |" in page_text(register_map)


@pytest.mark.parametrize(("old", "new", "key", "reason"), [
    ('["scale/load"]', '["scale/lod"]', "bad.0.points.0", "did you mean scale/load"),
    ('["scale/load"]', '["scale/name"]', "bad.0.points.0", "scale/name is a text"),
    ('["scale/load"]', '["scale/status"]', "bad.0.points.0", "compared in the rule that judges it"),
    ('["scale/load"]', "[]", "bad.0.points", "must not be empty"),
    ("scale/status >= 4", "scale/error >= 4", "bad.0.points", "in the groups fast and slow"),
    ('when = ["scale/status >= 4"]\n', "", "bad.0.when", "is missing"),
])  # fmt: skip
def test_a_rule_that_cannot_be_judged_is_refused(tmp_path, old, new, key, reason):
    with pytest.raises(catalog.MapError) as caught:
        load(tmp_path, TEXT.replace(old, new))
    (fault,) = caught.value.faults
    assert fault.key == key
    assert reason in f"{fault.reason} ({fault.mend})"
