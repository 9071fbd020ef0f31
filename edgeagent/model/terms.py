"""Words that the contract tells one by one, so that generated clients know them; later versions may add some."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

VerdictTerm = Annotated[str, Meta(extra_json_schema={"enum": ["pass", "fail", "unknown"]})]
QualityTerm = Annotated[str, Meta(extra_json_schema={"enum": ["good", "uncertain", "bad", "stale"]})]
ClockTerm = Annotated[str, Meta(extra_json_schema={"enum": ["trusted", "untrusted"]})]
IdentityTerm = Annotated[str, Meta(extra_json_schema={"enum": ["certain", "uncertain"]})]
SeverityTerm = Annotated[str, Meta(extra_json_schema={"enum": ["fault", "warning", "information"]})]
ControlTerm = Annotated[str, Meta(extra_json_schema={"enum": ["local", "remote", "offline"]})]
OutcomeTerm = Annotated[
    str, Meta(extra_json_schema={"enum": ["done", "refused", "failed", "stopped", "unknown"]})
]
ScanTerm = Annotated[str, Meta(extra_json_schema={"enum": ["read", "noRead"]})]
MachineTerm = Annotated[str, Meta(extra_json_schema={"enum": ["reflow", "wave"]})]
ParameterTerm = Annotated[str, Meta(extra_json_schema={"enum": ["measured", "setpoint", "limit", "state"]})]
TypeTerm = Annotated[str, Meta(extra_json_schema={"enum": ["number", "integer", "boolean", "string"]})]
StateTerm = Annotated[
    str,
    Meta(extra_json_schema={"enum": [
        "off", "standby", "starting", "warmingUp", "changeover", "coolingDown", "ready", "running", "fault",
        "emergencyStop", "maintenance", "unknown",
    ]}),
]  # fmt: skip
