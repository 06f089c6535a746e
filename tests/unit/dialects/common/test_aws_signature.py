"""AWS's signature is what its own SDK makes of the same request."""

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as OfTheSdk
from hypothesis import given, settings
from hypothesis import strategies as st

from tollgate_dialects.common.aws_signature import Credentials, Scope, signed_headers

NOW = "20261127T150000Z"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


class Signer(botocore.auth.SigV4Auth):
    """The SDK's own, but for its clock."""

    def add_auth(self, request):
        request.context["timestamp"] = NOW
        self._inject_signature_to_request(request, self._signature_of(request))

    def _signature_of(self, request):
        self._modify_request_before_signing(request)
        return self.signature(
            self.string_to_sign(request, self.canonical_request(request)), request
        )


def of_the_sdk(host, path, body, token):
    request = AWSRequest("POST", f"https://{host}{path}", data=body)
    signer = Signer(OfTheSdk("AKIDEXAMPLE000000", SECRET, token or None), "bedrock", "eu-west-1")
    signer.add_auth(request)
    return {name: request.headers[name] for name in request.headers}


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
    assert of_the_sdk(host, path, body, token) == ours


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
