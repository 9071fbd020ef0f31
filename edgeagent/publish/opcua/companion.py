"""The types of companion specifications that we make instances of: OPC UA for Devices, OPC UA for Machinery.

The numbers, names and references are those of the OPC Foundation's node sets, of which this is a part.
"""

from __future__ import annotations

from typing import NamedTuple

from asyncua import ua
from asyncua.server.address_space import AddressSpace

from edgeagent.publish.opcua.fields import moment
from edgeagent.publish.opcua.nodes import (
    ADD_IN,
    COMPONENT,
    MODELLING_RULE,
    ORGANIZES,
    PROPERTY,
    SUBTYPE,
    Builder,
    Naming,
    Parent,
    good,
    standard,
)  # fmt: skip

DI_URI = "http://opcfoundation.org/UA/DI/"
MACHINERY_URI = "http://opcfoundation.org/UA/Machinery/"

TABLE = """
D1005 type D:FunctionalGroupType 61
D6027 component D:<GroupIdentifier> D1005 D1005 OP
D15035 abstract D:IVendorNameplateType 17602
D15036 property D:Manufacturer D15035 LocalizedText O
D15037 property D:ManufacturerUri D15035 String O
D15038 property D:Model D15035 LocalizedText O
D15039 property D:HardwareRevision D15035 String O
D15040 property D:SoftwareRevision D15035 String O
D15041 property D:DeviceRevision D15035 String O
D15042 property D:ProductCode D15035 String O
D15043 property D:DeviceManual D15035 String O
D15044 property D:DeviceClass D15035 String O
D15045 property D:SerialNumber D15035 String O
D15046 property D:ProductInstanceUri D15035 String O
D15047 property D:RevisionCounter D15035 Int32 O
D23 property D:SoftwareReleaseDate D15035 DateTime O
D24 property D:PatchIdentifiers D15035 String[] O
D15048 abstract D:ITagNameplateType 17602
D15049 property D:AssetId D15048 String O
D15050 property D:ComponentName D15048 LocalizedText O
M1003 abstract M:IMachineryItemVendorNameplateType D15035
M6027 property M:InitialOperationDate M1003 DateTime O
M6022 property D:Manufacturer M1003 LocalizedText M
M6026 property M:MonthOfConstruction M1003 Byte O
M6024 property D:SerialNumber M1003 String M
M6025 property M:YearOfConstruction M1003 UInt16 O
M1010 abstract M:IMachineVendorNameplateType M1003
M6023 property D:ProductInstanceUri M1010 String M
M1011 abstract M:IMachineTagNameplateType D15048
M6028 property M:Location M1011 String O
M1004 abstract M:MachineryItemIdentificationType D1005
M1004 implements M1003
M1004 implements D15048
M6013 property D:AssetId M1004 String O
M6014 property D:ComponentName M1004 LocalizedText O
M6088 property 0:DefaultInstanceBrowseName M1004 QualifiedName - D:Identification
M6012 property D:DeviceClass M1004 String O
M6010 property D:HardwareRevision M1004 String O
M6006 property M:InitialOperationDate M1004 DateTime O
M6002 property D:Manufacturer M1004 LocalizedText M
M6007 property D:ManufacturerUri M1004 String O
M6008 property D:Model M1004 LocalizedText O
M6005 property M:MonthOfConstruction M1004 Byte O
M6009 property D:ProductCode M1004 String O
M6001 property D:ProductInstanceUri M1004 String O
M6003 property D:SerialNumber M1004 String M
M6011 property D:SoftwareRevision M1004 String O
M6004 property M:YearOfConstruction M1004 UInt16 O
M1012 type M:MachineIdentificationType M1004
M1012 implements M1011
M1012 implements M1010
M6030 property 0:DefaultInstanceBrowseName M1012 QualifiedName - D:Identification
M6029 property M:Location M1012 String O
M6015 property D:ProductInstanceUri M1012 String M
M1005 type M:MachineryComponentIdentificationType M1004
M6016 property 0:DefaultInstanceBrowseName M1005 QualifiedName - D:Identification
M6017 property D:DeviceRevision M1005 String O
M1006 type M:MachineComponentsType 58
M6018 property 0:DefaultInstanceBrowseName M1006 QualifiedName - M:Components
M5002 component M:<Component> M1006 58 OP
M5003 addin D:Identification M5002 M1004 M
M6019 property D:Manufacturer M5003 LocalizedText M
M6020 property D:SerialNumber M5003 String M
M1002 type M:MachineryItemState_StateMachineType 2771
M6021 property 0:DefaultInstanceBrowseName M1002 QualifiedName - M:MachineryItemState
M5006 state Executing M1002 M6040 3
M5005 state NotAvailable M1002 M6039 0
M5007 state NotExecuting M1002 M6041 2
M5004 state OutOfService M1002 M6038 1
M5023 transition M5006 M5006 M6057 14
M5020 transition M5006 M5005 M6054 6
M5022 transition M5006 M5007 M6056 8
M5021 transition M5006 M5004 M6055 7
M5010 transition M5005 M5006 M6044 1
M5011 transition M5005 M5005 M6045 12
M5009 transition M5005 M5007 M6043 2
M5008 transition M5005 M5004 M6042 0
M5018 transition M5007 M5006 M6052 11
M5016 transition M5007 M5005 M6050 9
M5019 transition M5007 M5007 M6053 15
M5017 transition M5007 M5004 M6051 10
M5014 transition M5004 M5006 M6048 4
M5012 transition M5004 M5005 M6046 3
M5013 transition M5004 M5007 M6047 5
M5015 transition M5004 M5004 M6049 13
M1008 type M:MachineryOperationModeStateMachineType 2771
M6058 property 0:DefaultInstanceBrowseName M1008 QualifiedName - M:MachineryOperationMode
M5025 state Maintenance M1008 M6060 1
M5024 state None M1008 M6059 0
M5026 state Processing M1008 M6061 3
M5027 state Setup M1008 M6062 2
M5035 transition M5025 M5025 M6070 13
M5032 transition M5025 M5024 M6067 3
M5034 transition M5025 M5026 M6069 4
M5033 transition M5025 M5027 M6068 5
M5028 transition M5024 M5025 M6063 0
M5031 transition M5024 M5024 M6066 12
M5030 transition M5024 M5026 M6065 1
M5029 transition M5024 M5027 M6064 2
M5041 transition M5026 M5025 M6076 7
M5040 transition M5026 M5024 M6075 6
M5043 transition M5026 M5026 M6078 14
M5042 transition M5026 M5027 M6077 8
M5037 transition M5027 M5025 M6072 10
M5036 transition M5027 M5024 M6071 9
M5038 transition M5027 M5026 M6073 11
M5039 transition M5027 M5027 M6074 15
M1001 organizes M:Machines 85 61 -
D15001 component D:http://opcfoundation.org/UA/DI/ 11715 11616 -
D15002 property 0:NamespaceUri D15001 String - http://opcfoundation.org/UA/DI/
D15003 property 0:NamespaceVersion D15001 String - 1.04.0
D15004 property 0:NamespacePublicationDate D15001 DateTime - 2022-11-03T00:00:00Z
D15005 property 0:IsNamespaceSubset D15001 Boolean - true
M5001 component M:http://opcfoundation.org/UA/Machinery/ 11715 11616 -
M6033 property 0:NamespaceUri M5001 String - http://opcfoundation.org/UA/Machinery/
M6034 property 0:NamespaceVersion M5001 String - 1.03.0
M6032 property 0:NamespacePublicationDate M5001 DateTime - 2023-08-01T00:00:00Z
M6031 property 0:IsNamespaceSubset M5001 Boolean - true
"""
"""A node a line: its number, D or M for the namespace, none for OPC UA's own; what it is; and then

- type, abstract: name, supertype
- implements: interface
- property: name, owner, data type, modelling rule (Mandatory, Optional), value
- component, organizes, addin: name, owner, type definition, modelling rule (OP: optional placeholder)
- state: name, state machine, NodeId and value of its StateNumber
- transition: from, to, NodeId and value of its TransitionNumber
"""

MACHINES = 1001
MACHINE_IDENTIFICATION = 1012
MACHINE_COMPONENTS = 1006
ITEM_STATE = 1002
OPERATION_MODE = 1008
"""Nodes of Machinery that others refer to."""

_RULES = {"M": 78, "O": 80, "OP": 11508}
_REFERENCES = {"component": COMPONENT, "organizes": ORGANIZES, "addin": ADD_IN}
_STATE_TYPE, _TRANSITION_TYPE = ua.ObjectIds.StateType, ua.ObjectIds.TransitionType


class Companions(NamedTuple):
    """Indexes of the namespaces in this server."""

    di: int
    machinery: int

    def node_id(self, written: str) -> ua.NodeId:
        """The NodeId that a table writes as D1005, M1012 or 61."""
        if written[0] not in "DM":
            return standard(int(written))
        return ua.NodeId(int(written[1:]), self._index(written[0]))  # type: ignore[arg-type]

    def name(self, written: str) -> ua.QualifiedName:
        """The name that a table writes as D:Manufacturer."""
        namespace, _, name = written.partition(":")
        return ua.QualifiedName(name, self._index(namespace))

    def of_machinery(self, number: int) -> ua.NodeId:
        """A node of Machinery."""
        return ua.NodeId(number, self.machinery)  # type: ignore[arg-type]

    def state(self, machine: int, name: str) -> ua.NodeId:
        """A state of one of the two state machines."""
        return self.node_id(_STATES[machine, name])

    def _index(self, namespace: str) -> int:
        return {"0": 0, "D": self.di, "M": self.machinery}[namespace]


def add_types(space: AddressSpace, its: Companions) -> None:
    """Add all of the table."""
    table = _Table(Builder(space), its)
    for line in TABLE.split("\n"):
        if line:
            number, what, *rest = line.split()
            getattr(table, f"add_{what}")(number, *rest)


class _Table:
    """Adds what a line says."""

    def __init__(self, builder: Builder, its: Companions) -> None:
        self._builder = builder
        self._its = its
        self._names: dict[str, str] = {}
        self._machines: dict[str, str] = {}

    def add_type(self, number: str, name: str, supertype: str, is_abstract: bool = False) -> None:
        parent = Parent(SUBTYPE, self._its.node_id(supertype))
        self._builder.object_type(self._its.node_id(number), Naming(self._its.name(name)), parent, is_abstract)

    def add_abstract(self, number: str, name: str, supertype: str) -> None:
        self.add_type(number, name, supertype, is_abstract=True)

    def add_implements(self, number: str, interface: str) -> None:
        self._refer(number, ua.ObjectIds.HasInterface, interface)

    def add_component(self, number: str, name: str, owner: str, type_: str, rule: str) -> None:
        self._object(number, name, Parent(COMPONENT, self._its.node_id(owner)), type_, rule)

    def add_organizes(self, number: str, name: str, owner: str, type_: str, rule: str) -> None:
        self._object(number, name, Parent(ORGANIZES, self._its.node_id(owner)), type_, rule)

    def add_addin(self, number: str, name: str, owner: str, type_: str, rule: str) -> None:
        self._object(number, name, Parent(ADD_IN, self._its.node_id(owner)), type_, rule)

    def add_property(
        self, number: str, name: str, owner: str, data_type: str, rule: str, value: str | None = None
    ) -> None:  # fmt: skip
        kind = ua.VariantType[data_type.removesuffix("[]")]
        is_array = data_type.endswith("[]")
        self._builder.variable(
            self._its.node_id(number), Naming(self._its.name(name)), Parent(PROPERTY, self._its.node_id(owner)),
            standard(ua.ObjectIds.PropertyType), self._value(kind, value), standard(kind.value), is_array,
        )  # fmt: skip
        self._rule(number, rule)

    def add_state(self, number: str, name: str, machine: str, of_number: str, value: str) -> None:
        self._names[number], self._machines[number] = name, machine
        parent = Parent(COMPONENT, self._its.node_id(machine))
        self._object(number, f"M:{name}", parent, str(_STATE_TYPE), "-")
        self.add_property(of_number, "0:StateNumber", number, "UInt32", "M", value)

    def add_transition(self, number: str, from_: str, to: str, of_number: str, value: str) -> None:
        parent = Parent(COMPONENT, self._its.node_id(self._machines[from_]))
        name = f"M:From{self._names[from_]}To{self._names[to]}"
        self._object(number, name, parent, str(_TRANSITION_TYPE), "-")
        self._refer(number, ua.ObjectIds.FromState, from_)
        self._refer(number, ua.ObjectIds.ToState, to)
        self.add_property(of_number, "0:TransitionNumber", number, "UInt32", "M", value)

    def _object(self, number: str, name: str, parent: Parent, type_: str, rule: str) -> None:
        its = self._its
        self._builder.object(its.node_id(number), Naming(its.name(name)), parent, its.node_id(type_))
        self._rule(number, rule)

    def _refer(self, number: str, reference: int, target: str) -> None:
        self._builder.refer(self._its.node_id(number), reference, self._its.node_id(target))

    def _rule(self, number: str, rule: str) -> None:
        if rule != "-":
            self._builder.refer(self._its.node_id(number), MODELLING_RULE, standard(_RULES[rule]), both_ways=False)

    def _value(self, kind: ua.VariantType, value: str | None) -> ua.DataValue:
        if value is None:
            return ua.DataValue()
        if kind is ua.VariantType.QualifiedName:
            return good(self._its.name(value), kind)
        if kind is ua.VariantType.DateTime:
            return good(moment(value), kind)
        if kind is ua.VariantType.Boolean:
            return good(value == "true", kind)
        return good(int(value) if kind is ua.VariantType.UInt32 else value, kind)


def _states() -> dict[tuple[int, str], str]:
    lines = [line.split() for line in TABLE.split("\n")]
    return {(int(line[3][1:]), line[2]): line[0] for line in lines if line[1:2] == ["state"]}


_STATES = _states()
"""State machine and name of a state → its number as the table writes it."""
