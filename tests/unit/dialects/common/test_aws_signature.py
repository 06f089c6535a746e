"""AWS's signature is what its own SDK makes of the same request."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dialects.bedrock_converse.aws import signed_by_the_sdk
from tollgate_dialects.common.aws_signature import Credentials, Scope, signed_headers

NOW = "20261127T150000Z"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


PATHS = st.sampled_from(
    (
        "/model/us.amazon.nova-lite-v1%3A0/converse",
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/converse-stream",
        "/v1/model/a~b_c-d.e/converse",
        "/model/%E4%BD%A0/converse",
    )
)


@settings(max_examples=100, deadline=None)
@given(PATHS, st.binary(max_size=50), st.sampled_from(("", "session/token+with=signs")))
def test_the_signature_is_that_of_the_sdk(path, body, token):
    """The same headers as botocore's SigV4Auth sets, for ids and ARNs that are encoded twice."""
    host = "bedrock-runtime.eu-west-1.amazonaws.com"
    ours = signed_headers(
        Credentials("AKIDEXAMPLE000000", SECRET, token),
        Scope("eu-west-1", "bedrock"),
        host=host,
        path=path,
        body=body,
        now=NOW,
    )
    credentials = ("AKIDEXAMPLE000000", SECRET, token or None)
    theirs = signed_by_the_sdk(f"https://{host}{path}", body, credentials, "eu-west-1", NOW)
    assert theirs == ours


def test_the_secret_is_nowhere():
    """Not in what is sent, and not in what is printed."""
    credentials = Credentials("AKIDEXAMPLE000000", SECRET, "token")
    headers = signed_headers(credentials, Scope("a", "b"), host="h", path="/", body=b"", now=NOW)
    assert SECRET not in str(headers)
    assert SECRET not in repr(credentials) + str(credentials)


def test_the_time_is_the_day_of_the_key():
    """The key of a day is not that of the next."""
    days = {
        signed_headers(
            Credentials("A", SECRET), Scope("a", "b"), host="h", path="/", body=b"", now=now
        )["Authorization"]
        for now in (NOW, "20261128T150000Z")
    }
    assert 2 == len(days)
