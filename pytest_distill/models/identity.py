"""What OpenAI is asked with where no key is stored, GitHub's word for the job that asks; and what of all this may be shown: nothing."""

from __future__ import annotations

import asyncio
import base64
import os
import re
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_distill.errors import ModelError
from pytest_distill.models.wire import NoReplyError

if TYPE_CHECKING:
    from openai.auth import WorkloadIdentityAuth

AUDIENCE = "https://api.openai.com/v1"  # whom GitHub's token is for; the identity provider at OpenAI must say the same
OFFER = ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")  # what GitHub sets for a job with `id-token: write`
PAUSES = (0.0, 1.0, 4.0)  # seconds before each try to get a token
SECONDS = 10.0  # until GitHub's token service has answered, as long as the SDK gives the exchange
MOST_WORDS = 300  # characters of what was said that are repeated
FEWEST_SECRET = 8  # characters; a shorter key is a dummy: taking it out of replies would only damage them
TELLING = 12  # characters at the start of a key that give it away where a message was cut; many keys share the first 8
_SENDABLE = re.compile("[!-~]+")
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")


class Secrets:
    """Keys and tokens that must not be shown. More may come while it is in use, from another thread too."""

    def __init__(self) -> None:
        self._spellings: dict[str, re.Pattern[str]] = {}

    def hide(self, secret: str) -> None:
        """Take this key or token out of texts from now on, unless it is so short that it is a dummy."""
        if len(secret) >= FEWEST_SECRET and secret not in self._spellings:
            self._spellings = {**self._spellings, secret: _spellings(secret)}

    def redact(self, text: str) -> str:
        """Return the text with ``***`` in place of each: as it is, escaped for JSON or an address, in base64, or cut off at an end."""
        for spelling in self._spellings.values():
            text = spelling.sub("***", text)
        return text


class Identity:
    """GitHub's word for the job that asks, for which OpenAI gives an access token that is short-lived.

    Args:
        names: the ids of the identity provider and of the service account at OpenAI.
        offer: the address of GitHub's token service, and what it is asked with.

    Attributes:
        secrets: every token that came so far, and what GitHub's token service is asked with.
    """

    def __init__(self, names: tuple[str, str], offer: tuple[str, str]) -> None:
        self._names, (self._url, self._asked_with) = names, offer
        self.secrets = Secrets()
        self.secrets.hide(self._asked_with)
        self._one_at_a_time = asyncio.Lock()
        self._trouble: NoReplyError | None = None

    async def token(self) -> str:
        """Return an access token that is good for a while: the last one, or another one where that is about to end.

        Raises:
            NoReplyError: none is to be had, and there will be none; a trouble that may pass was waited for.
        """
        async with self._one_at_a_time:
            trouble = self._trouble
            for pause in PAUSES if trouble is None else ():
                await asyncio.sleep(pause)
                found = await asyncio.to_thread(self._exchanged)
                if isinstance(found, str):
                    return found
                trouble = found
                if not trouble.again:
                    break
            self._trouble = trouble
        assert trouble is not None
        raise NoReplyError(trouble.words, hopeless=True)

    # What follows runs in a thread, and returns troubles: the traceback of one that is raised would hold tokens.

    def _exchanged(self) -> str | NoReplyError:
        import openai

        refused = "OpenAI gives no access token for GitHub's identity token"
        try:
            token = self._auth.get_token()
        except NoReplyError as trouble:
            return NoReplyError(trouble.words, again=trouble.again)
        except openai.OAuthError as error:
            provider, account = self._names
            said = self._brief(f"HTTP {error.status_code}: {error.error}: {error}")
            return NoReplyError(
                f"{refused} ({said}). At OpenAI, the identity provider {provider!r} must be one for GitHub's tokens with the audience"
                f" {AUDIENCE}, and the service account {account!r} be mapped to this repository, branch and environment"
            )
        except Exception as error:  # the SDK's, one for each thing that may come in place of a token, and those of its transport
            return NoReplyError(f"{refused} ({self._brief(f'{type(error).__name__}: {error}')})", again=True)
        if not _SENDABLE.fullmatch(token):
            return NoReplyError(f"{refused} (what came is no token)")
        self.secrets.hide(token)
        return token

    @cached_property
    def _auth(self) -> WorkloadIdentityAuth:
        from openai.auth import WorkloadIdentityAuth

        provider, account = self._names
        return WorkloadIdentityAuth(
            workload_identity={
                "identity_provider_id": provider,
                "service_account_id": account,
                "provider": {"token_type": "jwt", "get_token": self._from_github},
            }
        )

    def _from_github(self) -> str:
        import httpx2  # the SDK's own transport, which is there where openai is

        refused = "GitHub gives this job no identity token"
        try:
            with httpx2.Client(timeout=SECONDS) as client:
                address = httpx2.URL(self._url).copy_merge_params({"audience": AUDIENCE})
                response = client.get(address, headers={"Authorization": f"bearer {self._asked_with}"})
        except Exception as error:  # whatever the transport makes of proxies and certificates in the environment, too
            raise NoReplyError(f"{refused} ({self._brief(f'{type(error).__name__}: {error}')})", again=True) from None
        status = response.status_code
        if status != 200:
            said = self._brief(f"HTTP {status}: {response.text}")
            words = f"{refused} ({said}). It takes `permissions: id-token: write`, which a pull request from a fork does not get"
            raise NoReplyError(words, again=status in (408, 429) or status >= 500)
        try:
            token = response.json()["value"]
        except (ValueError, KeyError, TypeError, RecursionError):
            token = None
        if not (isinstance(token, str) and _SENDABLE.fullmatch(token)):
            raise NoReplyError(f"{refused} (HTTP 200 with something else)")
        self.secrets.hide(token)
        return token

    def _brief(self, words: str) -> str:
        words = " ".join(self.secrets.redact(words).split()).rstrip(".")
        return words if len(words) <= MOST_WORDS else f"{words[:MOST_WORDS]}…"


def is_identity(value: object) -> bool:
    """Whether it is what `Endpoint` takes as `identity`: two ids, or None."""
    if not isinstance(value, tuple):
        return value is None
    return len(value) == 2 and all(isinstance(each, str) and re.fullmatch(r"[\w.:-]{1,200}", each) for each in value)


def credentials(name: str, variable: str | None, identity: tuple[str, str] | None) -> str | Identity:
    """Return what an Endpoint is to ask with: its key where that is set, else the identity that GitHub offers the job.

    Args:
        name: the Endpoint's, for messages.
        variable: the environment variable with the key; None for a server that takes none.
        identity: the ids of an identity provider and of a service account, or None.

    Raises:
        ModelError: there is none of both, or the key cannot be sent.
    """
    key = key_in(variable)
    if key:
        if not _SENDABLE.fullmatch(key):
            raise ModelError(
                f"Endpoint {name!r}: what stands in the environment variable {variable} is no key: it holds a blank, a line break or a letter"
                " beyond ASCII. Set it again."
            )
        return key
    if identity is not None:
        offer = tuple(os.environ.get(each, "").strip() for each in OFFER)
        if not all(map(_SENDABLE.fullmatch, offer)):
            raise ModelError(
                f"Endpoint {name!r} has nothing to ask with: {f'the environment variable {variable} is not set' if variable else 'no key'},"
                f" and GitHub offers no identity token ({' and '.join(OFFER)} are not set). On GitHub Actions, give the job"
                f" `permissions: id-token: write`; elsewhere, set {variable or 'a variable and name it with api_key_env='}."
            )
        return Identity(identity, (offer[0], offer[1]))
    if variable is None:
        return "none"
    raise ModelError(
        f"Endpoint {name!r} takes its key from the environment variable {variable}, which is not set. Set it, name another with api_key_env=,"
        " or api_key_env=None for a server that takes no key."
    )


def key_in(variable: str | None) -> str:
    """Return the key that stands in an environment variable; nothing where it is not set or there is none."""
    return os.environ.get(variable, "").strip() if variable else ""


def lacking(variable: str | None, identity: tuple[str, str] | None) -> str:
    """Return, in words, what must be set before `credentials` has something; nothing where it has."""
    if key_in(variable) or (all(map(key_in, OFFER)) if identity else variable is None):
        return ""
    return " or ".join(each for each in (variable, identity and OFFER[1]) if each)


def _spellings(secret: str) -> re.Pattern[str]:
    if _JWT.fullmatch(secret):
        # Its first part says what it is and is no secret: what begins with it and some of the second is this one, or as good as it.
        start = secret[: secret.index(".") + 1 + TELLING]
        encoded = base64.b64encode(start[: len(start) // 3 * 3].encode()).decode()
        return re.compile(rf"(?:{_spelt(start)}|{_spelt(encoded)})[\w.+/=%\\-]*")
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    # Messages are cut before they are redacted, at the end of a quotation or with an ellipsis: the start of a key may be left there.
    start = rf"{_spelt(secret[:TELLING])}[^\s'\"…)]*(?=['\"…)]|\Z)"
    return re.compile(f"{_spelt(secret)}|{_spelt(encoded)}|{start}")


def _spelt(secret: str) -> str:
    r"""Return a pattern of a secret of which any letter may be escaped: ``\/``, ``\u002b``, ``%2B``; quoting doubles backslashes."""
    return "".join(rf"\\{{0,3}}(?:{re.escape(letter)}|(?i:%{ord(letter):02x}|u{ord(letter):04x}))" for letter in secret)
