"""Where Converse is called, and what vouches for a call."""

import pytest

from tollgate_dialects.bedrock_converse.endpoint import ENDPOINT
from tollgate_dialects.dialect import Asked, Outgoing

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
HOST = "bedrock-runtime.eu-central-1.amazonaws.com"


def outgoing(host=HOST):
    return Outgoing(host, "/model/m/converse", b"{}", "20261127T150000Z")


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        ("us.amazon.nova-lite-v1:0", False, "/model/us.amazon.nova-lite-v1%3A0/converse"),
        ("a/b c", True, "/model/a%2Fb%20c/converse-stream"),
        ("../x?y#z", False, "/model/..%2Fx%3Fy%23z/converse"),
    ],
)
def test_the_model_is_in_the_path(model, stream, path):
    """Encoded, so that it is one step of it whatever it is called."""
    assert path == ENDPOINT.path_below("", Asked(model, stream))


def test_a_bedrock_key_is_a_bearers():
    """It is the header that an upstream key makes; nothing is signed."""
    for key in ("bedrock-api-key-YmVkcm9jaw==", "ABSKQmVkcm9jaw==", "a:b"):
        assert {"Authorization": f"Bearer {key}"} == ENDPOINT.key_headers(key)
        assert ENDPOINT.signer(key) is None


def test_an_access_key_signs_and_is_in_no_header():
    """Its secret never leaves; the token of a session does, for it is meant to."""
    key = f"AKIDEXAMPLE000000:{SECRET}"
    assert {} == ENDPOINT.key_headers(key)
    sign = ENDPOINT.signer(key)
    assert sign is not None
    headers = sign(outgoing())
    assert {"X-Amz-Date", "Authorization"} == headers.keys()
    assert "/eu-central-1/bedrock/aws4_request" in headers["Authorization"]
    assert SECRET not in str(headers)
    with_token = ENDPOINT.signer(f"{key}:token/+=")
    assert with_token is not None
    assert "token/+=" == with_token(outgoing())["X-Amz-Security-Token"]


def test_each_secret_piece_of_a_key_is_told():
    """An upstream that sends back one of them alone has sent back a secret; the id is none."""
    key = f"AKIDEXAMPLE000000:{SECRET}"
    assert (key, SECRET) == ENDPOINT.secrets_in(key)
    assert (f"{key}:token/+=", SECRET, "token/+=") == ENDPOINT.secrets_in(f"{key}:token/+=")
    assert ("ABSKQmVkcm9jaw==",) == ENDPOINT.secrets_in("ABSKQmVkcm9jaw==")


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime.us-west-2.amazonaws.com", "us-west-2"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("vpce-1a2b.bedrock-runtime.ap-northeast-1.vpce.amazonaws.com", "ap-northeast-1"),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("127.0.0.1:8080", "us-east-1"),
        ("bedrock.example.com", "us-east-1"),
    ],
)
def test_the_region_is_in_the_hosts_name(host, region):
    """Where it says none, it is AWS's first."""
    sign = ENDPOINT.signer(f"AKIDEXAMPLE000000:{SECRET}")
    assert sign is not None
    assert f"/{region}/bedrock/" in sign(outgoing(host))["Authorization"]
