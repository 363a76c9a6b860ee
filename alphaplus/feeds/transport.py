"""What we change of a ccxt.pro client so that it carries raw frames and keeps no books.

ccxt dials, signs the subscriptions and answers pings. Market data never reaches its parser:
`FrameClient` hands every frame on as the bytes that came, and gives ccxt only the answers to
its own requests. The seams, all of ccxt 4.5.90:

- `Exchange.client` makes the object that owns a socket;
- `Client.receive_loop` starts a task per frame; ours is one task per socket;
- `Exchange.stream` numbers the sockets; ours puts all streams of the same symbols on one;
- `handle_order_book_subscription` would fetch a snapshot for ccxt's own book;
- `throttle` and `on_rest_response` are where requests wait and where their answers pass.
"""

import asyncio
import importlib
import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import ccxt
import orjson
from aiohttp import WSMsgType
from ccxt.async_support.base.ws.client import Client

from alphaplus.feeds.pacing import WeightBudget

CONTROL_PREFIXES: Final = (b'{"result"', b'{"id"', b'{"error"', b'{"code"', b'{"status"')
"""How answers to our own requests begin; no market data does."""

MAX_FRAME_BYTES: Final = 10 * 1024 * 1024
REQUESTS_PER_SECOND: Final = 4.0
"""On one socket. Binance closes a socket after 5 (spot) or 10 (futures) a second."""

UNSUBSCRIBE_ID: Final = 10**9
"""Beyond the numbers that ccxt gives its requests."""

CLOSE_TIMEOUT_S: Final = 1.0
RETRY_AFTER_S: Final = 5.0
"""How long to hold back where a venue says "too many" but not for how long."""

BUDGET_SHARE: Final = 0.95
"""Share of the venue's request weight that we plan to use."""

_log = logging.getLogger(__name__)


class FrameClient(Client):  # type: ignore[misc]  # ccxt has no types
    """One socket: frames go to `deliver`, the rest stays with ccxt."""

    connecting: bool

    def adopt(self, deliver: Callable[[bytes], None]) -> None:
        """Set what a converted ccxt client does not have."""
        self.deliver = deliver
        self.throttle = self._pace
        self._subscribed: list[str] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._next_request = 0.0
        self._is_closing = False

    async def _pace(self, cost: float | None = None) -> None:
        # ccxt starts the sending task in a callback of the dial, which `close` may overtake
        if self._is_closing:
            raise asyncio.CancelledError
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)  # the task that sends this request
        task.add_done_callback(self._tasks.discard)
        now = asyncio.get_running_loop().time()
        at = max(now, self._next_request)
        self._next_request = at + 1.0 / REQUESTS_PER_SECOND
        await asyncio.sleep(at - now)

    def connect(self, session: aiohttp.ClientSession, backoff_delay: float = 0) -> Any:
        """Dial once; waits between attempts are ours, so ccxt's are left out."""
        if not self.connection and not self.connecting:
            self.connecting = True
            self._spawn(self.open(session))
        return self.connected

    def create_connection(self, session: aiohttp.ClientSession) -> Any:
        """Open the socket for text as bytes, uncompressed: inflating costs more than it saves."""
        return session.ws_connect(
            self.url,
            autoping=False,
            autoclose=False,
            headers=self.options.get("headers"),
            proxy=self.proxy,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
            max_msg_size=MAX_FRAME_BYTES,
            decode_text=False,
        ).__aenter__()

    async def send(self, message: Any) -> Any:
        """Send a request, and remember what it subscribes to."""
        if isinstance(message, dict) and message.get("method") == "SUBSCRIBE":
            self._subscribed += message["params"]
        return await super().send(message)

    async def unsubscribe(self, beginnings: Iterable[str]) -> None:
        """End the subscriptions whose names begin like this, those on their way included.

        A socket that closes meanwhile has nothing to end.
        """
        try:
            await self._pace()  # after every request that waits, so that it covers them
            ended = [name for name in self._subscribed if name.startswith(tuple(beginnings))]
            self._subscribed = [name for name in self._subscribed if name not in ended]
            if ended:
                request = {"method": "UNSUBSCRIBE", "params": ended, "id": UNSUBSCRIBE_ID}
                await super().send(request)
        except (OSError, ccxt.NetworkError) as error:
            _log.info("%s: closed before it was unsubscribed: %s", self.url, error)

    def receive_loop(self) -> None:
        """Start the one task that reads the socket."""
        if not self._is_closing:
            self._spawn(self._receive())

    async def _receive(self) -> None:
        connection = self.connection
        try:
            while True:
                message = await connection.receive()
                if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
                    self.handle_text_or_binary_message(message.data)
                elif message.type is WSMsgType.PING or message.type is WSMsgType.PONG:
                    self.handle_message(message)
                elif message.type is WSMsgType.ERROR:
                    self.on_error(ccxt.NetworkError(str(message.data)))
                    return
                else:
                    self.on_close(message.data or aiohttp.WSCloseCode.ABNORMAL_CLOSURE)
                    return
        except Exception as error:  # a task's boundary: whoever holds the socket gets the error
            self.on_error(error)

    def handle_text_or_binary_message(self, data: bytes) -> None:
        """Hand on market data; let ccxt read what answers a request of its own."""
        if data.startswith(CONTROL_PREFIXES):
            try:
                answer = orjson.loads(data)
            except orjson.JSONDecodeError:
                self.deliver(data)  # torn: whoever decodes counts it
                return
            self.on_message_callback(self, answer)
            return
        self.deliver(data)

    async def close(self, code: int = 1000) -> None:
        """Stop every task of the socket, then close it."""
        self._is_closing = True
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await super().close(code)

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class FrameExchange:
    """The overrides of a ccxt.pro Binance client; see `frame_exchange`."""

    budget: WeightBudget
    weight_per_cost: float
    deliveries: dict[str, Callable[[bytes], None]]
    """Where the frames of a socket go, by its address."""
    opened: Callable[[str], None]
    """Called with the address of each socket that has opened."""
    limited: Callable[[int, float], None]
    """Called with status and seconds when the venue says that too much was asked."""
    made: dict[str, FrameClient]
    """Every socket's client until it is taken out to be closed: ccxt forgets those that fail."""
    socket_numbers: dict[str, str]
    """By the symbols that a socket carries."""
    numbers: Iterator[int]

    def client(self, url: str) -> Any:
        """Return the socket's client; ccxt names its class in a global, so we convert it."""
        client = super().client(url)  # type: ignore[misc]
        if not isinstance(client, FrameClient):
            client.__class__ = FrameClient
            client.adopt(self.deliveries[url])
            self.made[url] = client
        return client

    def stream(self, kind: str, subscription_hash: str, count: int = 1) -> str:
        """Number the sockets by the symbols they carry (the hash is `topic::symbol,symbol`)."""
        symbols = subscription_hash.partition("::")[2]
        if symbols not in self.socket_numbers:
            self.socket_numbers[symbols] = str(next(self.numbers))
        return self.socket_numbers[symbols]

    def forget(self, address: str) -> None:
        """Take up nothing again of a socket that is closed for good."""
        self.deliveries.pop(address, None)
        number = address.rpartition("/")[2]
        self.socket_numbers = {k: n for k, n in self.socket_numbers.items() if n != number}

    def on_connected(self, client: Any, message: Any = None) -> None:
        """Tell that a socket has opened."""
        super().on_connected(client, message)  # type: ignore[misc]
        self.opened(client.url)

    def handle_order_book_subscription(self, client: Any, message: Any, subscription: Any) -> None:
        """Keep no book: ccxt would fetch a snapshot here."""

    def handle_ws_error(self, client: Any, message: Any) -> None:
        """Give a socket up whose subscription was refused, rather than wait for its data."""
        error = message.get("error", message)
        client.on_error(ccxt.ExchangeError(f"subscription refused: {orjson.dumps(error).decode()}"))

    async def throttle(self, cost: float | None = None) -> None:
        """Wait until the request fits into the weight budget."""
        now = asyncio.get_running_loop().time()
        weight = (1.0 if cost is None else cost) * self.weight_per_cost
        await asyncio.sleep(self.budget.reserve(now, weight))

    def on_json_response(self, body: str) -> Any:
        """Parse an answer; the one that lists the markets also states the weight limit."""
        answer = orjson.loads(body)
        if isinstance(answer, dict):
            self.budget.limit = _weight_limit(answer) or self.budget.limit
        return answer

    def on_rest_response(self, code: int, reason: str, *exchanged: Any) -> str:
        """Note the weight used; refuse what is the venue's fault, whatever its body says."""
        _url, _method, headers, body, *_request = exchanged
        now = asyncio.get_running_loop().time()
        fields = {name.lower(): value for name, value in headers.items()}
        self.budget.observe(now, _number(fields.get("x-mbx-used-weight-1m"), 0.0))
        if code in {418, 429}:
            seconds = _number(fields.get("retry-after"), RETRY_AFTER_S)
            self.budget.block(now, seconds)
            self.limited(code, seconds)
            raise ccxt.RateLimitExceeded(f"HTTP {code} {reason}")
        if code >= 500:
            raise ccxt.ExchangeNotAvailable(f"HTTP {code} {reason}")
        return str(body).strip()


def frame_exchange(ccxt_id: str, base_url: str | None, keep_alive_s: float) -> Any:
    """Return a ccxt.pro Binance client that carries raw frames.

    `base_url` (`http://host:port`) replaces the host of every address, paths stay;
    `keep_alive_s` is the time between pings, two missed pongs end a socket.
    """
    original = getattr(importlib.import_module("ccxt.pro"), ccxt_id)
    kind = {"binance": "spot", "binanceusdm": "linear", "binancecoinm": "inverse"}[ccxt_id]
    exchange = type(f"frames_{ccxt_id}", (FrameExchange, original), {})(
        {"options": {"fetchCurrencies": False, "fetchMarkets": {"types": [kind]}}}
    )
    # ccxt counts a fifth of spot's real weight, and futures' as it is
    exchange.weight_per_cost = 5.0 if kind == "spot" else 1.0
    exchange.budget = WeightBudget(60_000 / exchange.rateLimit * exchange.weight_per_cost)
    exchange.limited = lambda code, seconds: None
    exchange.deliveries = {}
    exchange.made = {}
    exchange.socket_numbers = {}
    exchange.numbers = count()
    exchange.streaming["keepAlive"] = int(keep_alive_s * 1000)
    if base_url is not None:
        exchange.urls["api"] = rebase(exchange.urls["api"], base_url)
        if urlsplit(base_url).scheme == "http":
            exchange.timeout_on_exit = 0  # ccxt waits a quarter of a second for TLS to end
    return exchange


def rebase(urls: Any, base_url: str) -> Any:
    """Replace scheme and host of every address in a nested dictionary of addresses.

    >>> rebase({"ws": {"linear": "wss://fstream.binance.com/ws"}}, "http://127.0.0.1:8080")
    {'ws': {'linear': 'ws://127.0.0.1:8080/ws'}}
    """
    if isinstance(urls, dict):
        return {name: rebase(url, base_url) for name, url in urls.items()}
    old, new = urlsplit(urls), urlsplit(base_url)
    secure = "s" if new.scheme in {"https", "wss"} else ""
    scheme = ("ws" if old.scheme in {"ws", "wss"} else "http") + secure
    return f"{scheme}://{new.netloc}{new.path.rstrip('/')}{old.path}"


def _weight_limit(answer: dict[str, Any]) -> float | None:
    limits: Iterable[Any] = answer.get("rateLimits") or ()
    for rule in limits:
        if rule.get("rateLimitType") == "REQUEST_WEIGHT" and rule.get("interval") == "MINUTE":
            return BUDGET_SHARE * float(rule["limit"]) / float(rule.get("intervalNum", 1))
    return None


def _number(text: str | None, default: float) -> float:
    try:
        return default if text is None else float(text)
    except ValueError:
        return default
