"""What `tollgate vault` is told, and what it wants of a Vault, without one."""

import re

import pytest

from tollgate_cli.commands import vault
from tollgate_cli.fault import Fault
from tollgate_cli.vault import wanted
from tollgate_cli.vault.wanted import LoginTerms


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", "a b", "+", "*", 'a"', "a\nb", "ä", "a{}"]
)
def test_no_engine_is_named_so_that_a_policy_means_something_else(name: str):
    """A name with a wildcard, a quote or an empty part is refused: it stands in the policies."""
    with pytest.raises(Fault, match="is no place for an engine"):
        vault._mount(name)


@pytest.mark.parametrize("name", ["transit", "tollgate-transit", "team_1/transit.2"])
def test_other_names_of_engines_are_taken(name: str):
    """Those, and folders of those, as Vault has them."""
    assert name == vault._mount(name)


def test_networks_are_told_by_service():
    """SERVICE=CIDR, several for one service; everything that is wrong is said at once."""
    told = ["router=10.0.0.0/8", "router=fd00::/8", "audit=10.1.2.3"]
    assert {"router": ("10.0.0.0/8", "fd00::/8"), "audit": ("10.1.2.3/32",)} == (
        vault._networks(told)
    )
    with pytest.raises(Fault) as raised:
        vault._networks(["nobody=10.0.0.0/8", "router=10.0.0.1/8", "router", "audit=x"])
    assert 4 == raised.value.problem.count("--cidr")


def test_every_service_has_a_policy_and_a_delivery_of_its_own():
    """No placeholder is left, no wildcard stands in one, and none names another's secret-id."""
    texts = wanted.policies("transit")
    assert {f"tollgate-{s}" for s in wanted.SERVICES} | {
        f"tollgate-deliver-{s}" for s in wanted.SERVICES
    } == set(texts)
    for name, text in texts.items():
        paths = re.findall(r'^path "([^"]*)"', text, re.MULTILINE)
        assert paths
        assert not [path for path in paths if "*" in path or "+" in path or "SERVICE" in path]
        roles = {path.split("/")[3] for path in paths if path.startswith("auth/approle/role/")}
        assert roles <= {name.replace("deliver-", "")}


def test_another_engine_stands_in_every_path_of_it():
    """With another mount no path of the usual one is left."""
    texts = wanted.policies("elsewhere").values()
    assert not [text for text in texts if '"transit/' in text]
    assert [text for text in texts if '"elsewhere/decrypt/upstream-keys"' in text]


def test_a_role_is_as_short_of_life_as_trust_demands():
    """One policy and no default one, 15 minutes, 24 hours at most, a secret-id once and for 10."""
    settings = wanted.role("router", LoginTerms({"router": ("10.0.0.0/8",)}))
    assert (900, 86_400, 1, 600) == tuple(
        settings[name]
        for name in (
            "token_ttl", "token_explicit_max_ttl", "secret_id_num_uses", "secret_id_ttl",
        )
    )  # fmt: skip
    assert (["tollgate-router"], True, "service", ["10.0.0.0/8"], ["10.0.0.0/8"]) == tuple(
        settings[name]
        for name in (
            "token_policies", "token_no_default_policy", "token_type", "token_bound_cidrs",
            "secret_id_bound_cidrs",
        )
    )  # fmt: skip
    long = wanted.role("router", LoginTerms({"router": ("10.0.0.0/8",)}, secret_id_days=30))
    assert (0, 30 * 86_400) == (long["secret_id_num_uses"], long["secret_id_ttl"])
