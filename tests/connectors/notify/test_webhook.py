import base64
import hashlib
import hmac

import pytest

from prebill.connectors.notify.webhook import Webhook, signature
from prebill.core.errors import PermanentError, TransientError
from tests.connectors.notify.receiver import receiving


def test_the_signature_covers_id_timestamp_and_body() -> None:
    digest = hmac.new(b"secret", b'm1.7.{"a":1}', hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    assert signature("secret", "m1", 7, b'{"a":1}') == expected
    assert signature("secret", "m1", 8, b'{"a":1}') != expected
    assert signature("secret", "m2", 7, b'{"a":1}') != expected


def test_a_secret_with_the_schemes_prefix_is_base64() -> None:
    prefixed = "whsec_" + base64.b64encode(b"secret").decode()
    assert signature(prefixed, "m1", 7, b"{}") == signature("secret", "m1", 7, b"{}")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_an_answer_that_may_mend_is_transient(status: int) -> None:
    with receiving(statuses=[status]) as receiver:
        webhook = Webhook(receiver.url, "secret")
        with pytest.raises(TransientError, match=str(status)):
            webhook.deliver("d", b"{}", timestamp=1)
        webhook.close()


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410, 422])
def test_a_refusal_is_permanent_and_a_redirect_is_not_followed(status: int) -> None:
    with receiving(statuses=[status]) as receiver:
        webhook = Webhook(receiver.url, "secret")
        with pytest.raises(PermanentError, match=str(status)):
            webhook.deliver("d", b"{}", timestamp=1)
        webhook.close()
    assert len(receiver.requests) == 1


def test_a_wrong_url_is_permanent() -> None:
    webhook = Webhook("ftp://127.0.0.1/x", "secret")
    with pytest.raises(PermanentError, match="URL"):
        webhook.deliver("d", b"{}", timestamp=1)
    webhook.close()
