"""asyncua's internal server over the light address space."""

from __future__ import annotations

from pathlib import Path

from asyncua.common.node import Node
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AttributeService, MethodService, ViewService
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.subscription_service import SubscriptionService
from asyncua.server.user_managers import UserManager

from edgeagent.publish.opcua.standard.space import LazyNodeManagement, LazySpace


class LazyServer(InternalServer):
    """An InternalServer that never loads the standard address space.

    Needed for asyncua 2.1.0 because its InternalServer makes the address space and all services over it by itself;
    hand this one, or a class made from it, to `Server(iserver=...)` together with `user_manager`.
    """

    def __init__(self, user_manager: UserManager | None = None) -> None:
        super().__init__(user_manager)
        self.aspace = LazySpace()
        self.attribute_service = AttributeService(self.aspace)
        self.view_service = ViewService(self.aspace)
        self.method_service = MethodService(self.aspace)
        self.node_mgt_service = LazyNodeManagement(self.aspace)
        self.subscription_service = SubscriptionService(self.aspace, iserver=self)
        self.isession = InternalSession(
            self, self.aspace, self.subscription_service, "Internal", user=User(role=UserRole.Admin)
        )
        self.current_time_node = Node(self.isession, self.current_time_node.nodeid)
        self.server_status_node = Node(self.isession, self.server_status_node.nodeid)

    async def load_standard_address_space(self, shelf_file: Path | None = None) -> None:
        """Nothing to load: nodes are made on access."""
