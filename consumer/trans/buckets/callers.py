"""Who may come to the gateway, and as whom it goes on. Secrets are looked up by the names of
profiles, never kept in the store, never printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.endpoints.s3.account import Account, Keys
from common.endpoints.s3.location import Location
from common.errors import ConvoyError
from common.store.switches import Caller, Switches, Tenant
from consumer.trans.buckets.routing import Side


@dataclass(frozen=True, slots=True)
class Known:
    """One caller, with the keys to be used for him on each side."""

    access: str
    secret: str
    tenant: Tenant
    keys: Mapping[Side, Keys]

    def __repr__(self) -> str:
        return f"Known({self.access})"


@dataclass(slots=True)
class Callers:
    """All callers of all tenants, as of the last look. A caller whose profiles cannot be read is
    not served; the others are."""

    switches: Switches
    _known: dict[str, Known] = field(default_factory=dict)
    _accounts: dict[tuple[str, str], Account] = field(default_factory=dict)

    def look(self) -> list[str]:
        """Look them all up again; what is wrong with those that cannot be served."""
        tenants = {tenant.id: tenant for tenant in self.switches.tenants()}
        known, wrong = {}, []
        for caller in self.switches.callers():
            try:
                known[caller.id] = self._resolved(caller, tenants[caller.tenant])
            except (ConvoyError, KeyError) as error:
                wrong.append(f"caller {caller.id}: {error}")
        self._known = known
        return wrong

    def secret(self, access: str) -> str | None:
        """The secret of an access key, if it is one of ours."""
        known = self._known.get(access)
        return known.secret if known else None

    def get(self, access: str) -> Known:
        """Who has this key."""
        return self._known[access]

    def _resolved(self, caller: Caller, tenant: Tenant) -> Known:
        own = self._keys(tenant.old, caller.profile)
        if own.access != caller.id:
            raise KeyError(f"profile {caller.profile} holds another key")
        keys = {
            Side.OLD: self._keys(tenant.old, caller.old),
            Side.NEW: self._keys(tenant.new, caller.new),
        }
        return Known(caller.id, own.secret, tenant, keys)

    def _keys(self, endpoint: str, profile: str) -> Keys:
        account = self._accounts.get((endpoint, profile))
        if account is None:
            account = Account(Location("any", endpoint=endpoint, profile=profile))
            self._accounts[endpoint, profile] = account
        return account.keys()
