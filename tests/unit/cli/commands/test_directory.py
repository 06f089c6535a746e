"""Names and ids that people give to commands."""

import pytest

from tollgate.authz.v1 import authz_pb2
from tollgate_cli.commands import directory
from tollgate_cli.fault import Fault


def one(matches: list[authz_pb2.Key], name: str) -> authz_pb2.Key:
    """What a command takes of several keys that the name fits."""
    found: authz_pb2.Key = directory._one(matches, matches, "key", name, "")
    return found


def test_an_id_is_its_owners_whatever_others_are_called():
    """A key that is named as another's id does not keep anybody from that one."""
    owner = authz_pb2.Key(key_id="id-1", name="a", tenant_id="t")
    namesake = authz_pb2.Key(key_id="id-2", name="id-1", tenant_id="t")
    assert one([namesake, owner], "id-1") is owner


def test_two_of_one_name_are_told_apart_by_id():
    """A name that two have decides nothing; their tenant's id is not theirs."""
    keys = [authz_pb2.Key(key_id=each, name="t", tenant_id="t") for each in ("id-1", "id-2")]
    with pytest.raises(Fault, match="2 keys are called"):
        one(keys, "t")
