"""labrt/images/registry_auth.py: a registry that asks who it is gets the right answer, and nobody
else does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labrt.errors import LabError
from labrt.images import logins, registry, registry_auth, store
from labrt.images.logins import Login
from labrt.images.registry_api import connected
from labrt.images.registry_auth import Challenge
from labrt.images.wire import Access, Answer, Wire
from tests.labrt.images import servers
from tests.labrt.images.conftest import image, needs_registry
from tests.labrt.images.servers import Certificates, Handler, TokenServer

pytestmark = pytest.mark.usefixtures("machine")
Machine = Callable[[str], None]
LOGIN = Login(servers.USER, servers.PASSWORD)
OTHER = Login(servers.USER, "wrong")


class TestAChallenge:
    @pytest.mark.parametrize(
        ("header", "scheme", "parameters"),
        [
            ('Basic realm="a b"', "basic", {"realm": "a b"}),
            ("basic REALM=x", "basic", {"realm": "x"}),
            ("Basic", "basic", {}),
            (
                'Bearer realm="https://a/t",service="s, t",scope="repository:x:pull,push"',
                "bearer",
                {"realm": "https://a/t", "service": "s, t", "scope": "repository:x:pull,push"},
            ),
            ('Negotiate, Basic realm="x"', "basic", {"realm": "x"}),
            ('Digest realm="d", nonce="1", Bearer realm="b"', "bearer", {"realm": "b"}),
        ],
    )
    def test_is_read(self, header: str, scheme: str, parameters: dict[str, str]) -> None:
        assert registry_auth.parse(header) == Challenge(scheme, parameters)

    @pytest.mark.parametrize("header", ["", "Negotiate", 'Digest realm="x"', "=,=,", "\x1b[2J"])
    def test_of_another_kind_is_refused(self, header: str) -> None:
        with pytest.raises(LabError, match="neither Basic nor Bearer") as refused:
            registry_auth.parse(header)
        assert "\x1b" not in str(refused.value)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real registry with a password."""
    folder = tmp_path_factory.mktemp("guarded")
    with servers.registry(folder, auth=servers.htpasswd(folder)) as address:
        yield address


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return servers.certificates(tmp_path_factory.mktemp("signer"))


@needs_registry
class TestBasic:
    def test_without_a_login_the_remedy_is_told(self, guarded: str) -> None:
        made = image("app", 100)
        with pytest.raises(LabError, match=f"a name and a password.*labrt login {guarded}"):
            registry.push(made, f"{guarded}/app")

    def test_with_one_it_goes_there_and_back(self, guarded: str, machine: Machine) -> None:
        logins.store(guarded, LOGIN)
        made = image("app", 3000)
        registry.push(made, f"{guarded}/app")
        machine("second")
        logins.store(guarded, LOGIN)
        assert registry.pull(f"{guarded}/app").digest == made.digest

    def test_with_a_wrong_one_the_remedy_is_told(self, guarded: str) -> None:
        logins.store(guarded, OTHER)
        with pytest.raises(LabError, match=r"401 Unauthorized.*labrt login") as refused:
            registry.pull(f"{guarded}/app")
        assert "wrong" not in str(refused.value)


@needs_registry
class TestBearer:
    @pytest.fixture
    def tokens(self, signer: Certificates) -> Iterator[TokenServer]:
        with TokenServer(signer).running() as running:
            yield running

    @pytest.fixture
    def address(self, tokens: TokenServer, tmp_path: Path) -> Iterator[str]:
        with servers.registry(tmp_path, auth=tokens.auth()) as address:
            yield address

    def test_a_login_allows_to_push_and_anybody_may_pull(
        self, address: str, machine: Machine
    ) -> None:
        logins.store(address, LOGIN)
        made = image("app", 3000)
        registry.push(made, f"{address}/team/app")
        machine("second")
        assert registry.pull(f"{address}/team/app").digest == made.digest
        with pytest.raises(LabError, match=r"401 Unauthorized \(authentication.*labrt login"):
            registry.push(made, f"{address}/team/other")

    def test_a_wrong_login_is_told_with_the_remedy(self, address: str) -> None:
        logins.store(address, OTHER)
        with pytest.raises(LabError, match=f"token server.*answers 401.*labrt login {address}"):
            registry.pull(f"{address}/team/app")

    def test_one_token_serves_until_it_ends(
        self, address: str, tokens: TokenServer, machine: Machine
    ) -> None:
        logins.store(address, LOGIN)
        registry.push(image("app", 100, 200, 300), f"{address}/app")
        assert [query["scope"] for query in tokens.asked] == [["repository:app:pull,push"]]
        machine("second")
        tokens.expires_in = 1  # too soon to be used again: each request gets another
        registry.pull(f"{address}/app")
        assert len(tokens.asked) == 1 + 1 + 4  # the push; manifest, configuration and layers

    def test_a_token_that_the_registry_no_longer_takes_is_got_anew_once(
        self, address: str, tokens: TokenServer
    ) -> None:
        logins.store(address, LOGIN)
        registry.push(image("app", 100), f"{address}/app")
        before = len(tokens.asked)
        scopes = frozenset({"repository:app:pull"})
        with connected(address, Access(), LOGIN) as connection:
            connection._authority._tokens[scopes] = registry_auth._Token("Bearer old", 1e12)
            assert connection.ask("GET", "/v2/app/tags/list", scopes).status == 200
        assert len(tokens.asked) == before + 1

    def test_a_mount_asks_for_both_repositories(self, address: str, tokens: TokenServer) -> None:
        logins.store(address, LOGIN)
        made = image(f"{address}/one", 5000)
        registry.push(made)
        done = registry.push(made, f"{address}/two")
        assert done.mounted > made.layers[0].size
        both = ["repository:one:pull", "repository:two:pull,push"]
        assert both in [query["scope"] for query in tokens.asked]

    def test_the_token_server_is_told_service_account_and_scope(
        self, address: str, tokens: TokenServer
    ) -> None:
        logins.store(address, LOGIN)
        with pytest.raises(LabError):
            registry.pull(f"{address}/nosuch")
        scope = ["repository:nosuch:pull"]
        assert tokens.asked == [{"service": ["tests"], "account": [servers.USER], "scope": scope}]


class TestATokenServerIsAskedOnlySafely:
    """Its address comes from the registry, which may be anybody."""

    def pull(self, challenge: str, login: Login | None = LOGIN) -> None:
        def answer(handler: Handler) -> None:
            handler.reply(401, b"{}", www_authenticate=challenge)

        with servers.rogue(answer) as address:
            if login:
                logins.store(address, login)
            registry.pull(f"{address}/app")

    @pytest.mark.parametrize(
        ("realm", "why"),
        [
            ("http://192.0.2.1/token", "plain HTTP"),
            ("ftp://127.0.0.1/token", "no HTTP URL"),
            ("file:///etc/passwd", "no HTTP URL"),
            ("https://user:secret@127.0.0.1:1/token", "no HTTP URL"),
            ("", "no HTTP URL"),
            ("https://[", "no URL"),
        ],
    )
    def test_a_realm_that_would_give_the_login_away(self, realm: str, why: str) -> None:
        with pytest.raises(LabError, match=why) as refused:
            self.pull(f'Bearer realm="{realm}",service="x"')
        assert "secret" not in str(refused.value)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>",
            b"[]",
            b"{}",
            b'{"token": 3}',
            b'{"token": "a\\r\\nX: y"}',
            b'{"token":""}',
        ],
    )
    def test_an_answer_that_is_no_token(self, body: bytes) -> None:
        with (
            servers.rogue(lambda handler: handler.reply(200, body)) as realm,
            pytest.raises(LabError, match="it answers none"),
        ):
            self.pull(f'Bearer realm="http://{realm}/token"')

    def test_a_realm_over_http_for_a_registry_over_https(self) -> None:
        with Wire(Access()) as connection:
            url = "https://example.org"
            authority = registry_auth.Authority(connection, "example.org", url, LOGIN)
            challenge = {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:1/token"'}
            authority.challenged(Answer(url, 401, challenge, b""), frozenset())
            with pytest.raises(LabError, match="a login isn't sent there over plain HTTP"):
                authority.header(frozenset())

    def test_a_redirect_of_the_token_server_takes_no_login_along(self) -> None:
        seen: list[str | None] = []

        def other(handler: Handler) -> None:
            seen.append(handler.headers.get("Authorization"))
            handler.reply(200, json.dumps({"token": "t"}).encode())

        with servers.rogue(other) as elsewhere:

            def redirect(handler: Handler) -> None:
                seen.append(handler.headers.get("Authorization"))
                handler.reply(307, location=f"http://{elsewhere}/token")

            with servers.rogue(redirect) as realm, pytest.raises(LabError):
                self.pull(f'Bearer realm="http://{realm}/token"')
        assert seen[:2] == [servers.basic(), None]


def test_a_login_is_for_one_registry_alone() -> None:
    seen: list[str | None] = []

    def answer(handler: Handler) -> None:
        seen.append(handler.headers.get("Authorization"))
        handler.reply(401, b"{}", www_authenticate="Basic")

    with servers.rogue(answer) as one, servers.rogue(answer) as other:
        logins.store(one, LOGIN)
        with pytest.raises(LabError, match=f"labrt login {other}"):
            registry.pull(f"{other}/app")
    assert seen == [None]
    assert store.names() == []
