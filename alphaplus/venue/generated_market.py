"""One generated symbol: orders around a moving price, and everything they cause.

A step of market time moves a fair price (jump-diffusion), lets passive orders come and go,
matches market orders at the touch, lets quotes follow the fair price, liquidates accounts,
and tells it all in Binance's messages. Every change of the book takes one update id, which
book tickers and depth messages share, so they can be audited against each other.
"""

import math
from collections import deque
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from alphaplus.errors import ConfigError
from alphaplus.venue.candles import MinuteBars
from alphaplus.venue.generated_accounts import Accounts, Liquidation
from alphaplus.venue.generated_book import ASK, BID, GeneratedBook
from alphaplus.venue.generated_messages import MessageWriter
from alphaplus.venue.planted_accounts import ForcedOrder, PlantedAccounts
from alphaplus.venue.price_moves import MOST_RATE_PER_S, PriceMove, PriceMoves
from alphaplus.venue.protocol import Channel, Listing, Ticker
from alphaplus.venue.rolling_volume import RollingVolume

Message = tuple[Channel, bytes]

BAND_TICKS: Final = 1400
"""Levels are kept this far from the touch; four of five ticks are in use."""
REVEALED_TICKS: Final = 700
"""Orders that come this near to the touch are quoted anew, so that a client whose snapshot
ended before them learns of them before they are the touch."""
_OCCUPANCY: Final = 0.8
_MAX_MOVE_TICKS: Final = 60
"""How far quotes follow the fair price in one step..."""
_MAX_ORDERED_MOVE_TICKS: Final = 400
"""... and while it is moved on request. With a forced order this stays within `REVEALED_TICKS`."""
_YEAR_S: Final = 365.25 * 86_400
_JUMPS_PER_S: Final = 1 / 60
_JUMP: Final = 0.0015
_REVERSION_PER_S: Final = 1 / 20_000
_PASSIVE_PER_S: Final = 330.0
_MARKET_PER_S: Final = 4.0
_MAX_LEVELS_TAKEN: Final = 10
_MAX_LEVELS_FORCED: Final = 200
"""Of an order that closes a planted account; what it leaves is taken in the next step."""
_TURNOVER_PER_S: Final = 3.5
"""About what is traded in a second, in units of the book's notional per basis point."""
_PREMIUM_S: Final = 60.0
_FAR_FACTORS: Final = (0.02, 0.1, 0.5, 2.0, 5.0, 10.0)
"""Forgotten orders absurdly far away, as real books have."""
_FORCE_ORDER_S: Final = 1.0
"""At most one forceOrder is published per symbol in this time: Binance's rule."""
_DRAWS: Final = 4096


class SymbolProfile(NamedTuple):
    """What a symbol is like. Notional in quote currency, volatility per square root of a year."""

    price: float
    price_decimals: int
    lot_decimals: int
    notional_per_bp: float
    volatility: float


def hourly_volatility(profile: SymbolProfile) -> float:
    """Return how far the fair price wanders in an hour: the standard deviation of its log."""
    per_s: float = profile.volatility**2 / _YEAR_S + _JUMPS_PER_S * _JUMP**2
    return float((3600 * per_s) ** 0.5)


def minute_turnover(profile: SymbolProfile) -> float:
    """Return about what is traded in a minute, base units."""
    return 60 * _TURNOVER_PER_S * profile.notional_per_bp / profile.price


class SymbolMarket:
    """A symbol's whole market. `step` is its only verb; it reads no clock but its arguments."""

    def __init__(
        self,
        symbol: str,
        profile: SymbolProfile,
        rng: np.random.Generator,
        planted: PlantedAccounts | None = None,
    ) -> None:
        self.listing = Listing(
            symbol=symbol,
            price_decimals=profile.price_decimals,
            lot_decimals=profile.lot_decimals,
        )
        self._writer = MessageWriter(self.listing)
        self._rng = rng
        self._tick = 10.0**-profile.price_decimals
        self._lot = 10.0**-profile.lot_decimals
        self._anchor = profile.price / self._tick
        self._fair = self._anchor
        self._sigma = profile.volatility / _YEAR_S**0.5
        level_notional = profile.notional_per_bp * self._tick / profile.price * 1e4 / _OCCUPANCY
        self._median_lots = level_notional / profile.price / self._lot
        self._order_notional = 2_000.0 * (profile.notional_per_bp / 1e6) ** 0.5
        self._band = min(BAND_TICKS, int(self._anchor * 0.8))
        self._sizes: list[int] = []
        self._chances: list[float] = []
        self._book = self._first_book(int(rng.integers(10**9, 10**12)))
        self._last_depth = self._book.sequence
        self._edges = {
            outward: self._book.side(outward).best + self._band * outward for outward in (BID, ASK)
        }
        self._revealed = {
            outward: self._book.side(outward).best + REVEALED_TICKS * outward
            for outward in (BID, ASK)
        }
        self._touch = self._book.touch()
        self._accounts = Accounts(profile.price, 10 * self._order_notional, rng)
        self._planted = planted or PlantedAccounts()
        self._moves = PriceMoves()
        self._other_interest = 4_000 * profile.notional_per_bp / profile.price
        self._premium = 0.0  # of mid over index, quote currency
        self._clock_s = 0.0
        self._trade_id = int(rng.integers(10**6, 10**9))
        self._recent: deque[bytes] = deque(maxlen=1000)
        self._open = self._high = self._low = self._last = self._mid()
        turnover = _TURNOVER_PER_S * profile.notional_per_bp
        self._volume = RollingVolume(turnover / profile.price, turnover)
        self._trades = self._depths = self._tickers = self._liquidations = 0
        self._published_liquidations = 0
        self._largest: tuple[float, dict[str, Any]] | None = None  # waits for its turn
        self._force_order_due_s = 0.0
        self._now_ms = 0
        self._out: list[Message] = []
        self.trade_bars = MinuteBars()
        self.mark_bars = MinuteBars()
        self.interest_bars = MinuteBars()
        """Open interest, base units."""

    @property
    def sequence(self) -> int:
        """Id of the last depth message; the book is at it between two steps."""
        return self._book.sequence

    def step(self, dt: float, now_ms: int) -> list[Message]:
        """Let `dt` seconds of market time pass and return what is published, stamped `now_ms`."""
        self._out = []
        self._now_ms = now_ms
        self.begin(now_ms)
        self._clock_s += dt
        self._move_fair_price(dt)
        self._passive_orders(dt)
        self._market_orders(dt)
        self._follow_fair_price()
        for liquidation in self._accounts.liquidate(self.mark_price):
            self._liquidate(liquidation)
        for order in self._planted.due(self.listing.symbol, self.mark_price, now_ms):
            self._close(order)
        self._publish_liquidation()
        self._slide_band(BID)
        self._slide_band(ASK)
        self._premium += (self._mid() - self.index_price - self._premium) * dt / _PREMIUM_S
        self._publish_depth()
        self.mark_bars.add(now_ms, self.mark_price)
        self.interest_bars.add(now_ms, self.open_interest)
        return self._out

    def begin(self, now_ms: int) -> None:
        """Let the minutes of its candles begin, if they have not, with where it stands."""
        if self.trade_bars.began_ms is None:
            self.trade_bars.add(now_ms, self._last)
            self.mark_bars.add(now_ms, self.mark_price)
            self.interest_bars.add(now_ms, self.open_interest)

    @property
    def open_interest(self) -> float:
        """All open positions of one side, base units."""
        own = self._accounts.open_interest + self._planted.open_interest(self.listing.symbol)
        return self._other_interest + own

    def move(self, move: PriceMove, step_s: float) -> list[dict[str, float]]:
        """Begin a move of the fair price, and return all that are under way.

        Raises ConfigError if quotes could not follow it in steps of `step_s`, or if the price
        would fall so low that its book had no room.
        """
        floor = self._floor * self._tick
        lowest = self.index_price * math.exp(self._moves.left + move.log_return)
        if lowest < floor:
            raise ConfigError(
                f"Expected a move that leaves {self.listing.symbol} at {floor:g} or above, was one "
                f"to {lowest:g}; move it less."
            )
        rate = _MAX_ORDERED_MOVE_TICKS / (max(self.index_price, lowest) / self._tick * step_s)
        self._moves.add(move, min(MOST_RATE_PER_S, rate))
        return self._moves.state()

    @property
    def index_price(self) -> float:
        """The fair price, which other venues are taken to agree on."""
        return self._fair * self._tick

    @property
    def mark_price(self) -> float:
        """Index price plus the averaged premium of this venue."""
        return self.index_price + self._premium

    def levels(self, limit: int | None = None) -> tuple[list[list[str]], list[list[str]]]:
        """Return bids and asks as [price, quantity], best first."""
        bids, asks = (
            [
                [self._writer.price(tick), self._writer.quantity(side.levels[tick])]
                for tick in side.ordered()[:limit]
            ]
            for side in (self._book.bids, self._book.asks)
        )
        return bids, asks

    def latest_trades(self, limit: int) -> list[dict[str, Any]]:
        """Return up to 1,000 latest trades, oldest first."""
        return [orjson.loads(trade) for trade in list(self._recent)[-limit:]]

    def ticker(self, now_ms: int) -> Ticker:
        """Return where the symbol stands."""
        bid, bid_lots, ask, ask_lots = self._book.touch()
        volume, quote_volume = self._volume.day(self._clock_s)
        premium = self._premium / self.index_price
        return Ticker(
            time_ms=now_ms,
            bid=bid * self._tick,
            bid_quantity=bid_lots * self._lot,
            ask=ask * self._tick,
            ask_quantity=ask_lots * self._lot,
            open=self._open,
            high=self._high,
            low=self._low,
            last=self._last,
            volume=volume,
            quote_volume=quote_volume,
            trade_count=self._trades,
            mark_price=self.mark_price,
            index_price=self.index_price,
            # https://www.binance.com/en/support/faq/360033525031: premium plus clamped interest
            funding_rate=premium + min(max(1e-4 - premium, -5e-4), 5e-4),
            open_interest=self.open_interest,
            sequence=self._book.sequence,
        )

    def state(self) -> dict[str, Any]:
        """Return counts; `liquidations` is the truth, of which forceOrder shows a part."""
        return {
            "symbol": self.listing.symbol,
            "sent": self._depths + self._tickers + self._trades + self._published_liquidations,
            "depth": self._depths,
            "book_ticker": self._tickers,
            "trade": self._trades,
            "last_update_id": self._last_depth,
            "liquidations": self._liquidations,
            "published_liquidations": self._published_liquidations,
        }

    @property
    def _floor(self) -> int:
        """Lowest fair price, ticks: the band of levels lies above 0."""
        return self._band + 2 * _MAX_MOVE_TICKS

    def _first_book(self, sequence: int) -> GeneratedBook:
        best_bid = int(self._fair)
        book = GeneratedBook(best_bid, sequence)
        for outward, best in ((BID, best_bid), (ASK, best_bid + 1)):
            side = book.side(outward)
            for offset in range(self._band + 1):
                if offset == 0 or self._chance() < _OCCUPANCY:
                    side.levels[best + offset * outward] = self._size()
            for factor in _FAR_FACTORS:
                far = int(self._anchor * factor)
                if far > 0 and (far - best) * outward > self._band:
                    side.levels[far] = self._size()
        return book

    def _move_fair_price(self, dt: float) -> None:
        if self._moves:
            factor = math.exp(self._moves.step(dt))
            self._anchor *= factor
            self._fair *= factor
        drift = (self._anchor - self._fair) * dt * _REVERSION_PER_S
        shock = self._sigma * dt**0.5 * float(self._rng.standard_normal())
        if self._chance() < _JUMPS_PER_S * dt:
            shock += _JUMP * float(self._rng.standard_normal())
        self._fair = max(self._fair * (1 + shock) + drift, self._floor)

    def _passive_orders(self, dt: float) -> None:
        """Add, resize and cancel orders, most of them far from the touch."""
        count = int(self._rng.poisson(_PASSIVE_PER_S * dt))
        offsets = np.exp(self._rng.normal(4.4, 1.4, count)).astype(np.int64)
        for offset in offsets.tolist():
            if offset > self._band:
                continue
            outward = BID if self._chance() < 0.5 else ASK
            side = self._book.side(outward)
            tick = side.best + offset * outward
            # Removing one in five of those drawn keeps four of five ticks in use. The touch
            # itself is only resized: market orders and the fair price move it.
            stays = offset == 0 or self._chance() < _OCCUPANCY
            self._book.set(outward, tick, self._size() if stays else 0)
            if offset == 0:
                self._publish_touch()

    def _market_orders(self, dt: float) -> None:
        for _ in range(int(self._rng.poisson(_MARKET_PER_S * dt))):
            buys = self._chance() < 0.5
            notional = self._order_notional * float(self._rng.lognormal(0.0, 1.5))
            lots = int(notional / self._mid() / self._lot) + 1
            self._take(ASK if buys else BID, lots)

    def _take(
        self, outward: int, lots: int, most_levels: int = _MAX_LEVELS_TAKEN
    ) -> tuple[int, float]:
        """Match a market order against a side; returns lots filled and their notional."""
        side = self._book.side(outward)
        filled, notional = 0, 0.0
        for _ in range(most_levels):
            resting = side.levels[side.best]
            fill = min(lots - filled, resting)
            tick = side.best
            self._publish_trade(tick, fill, buyer_is_maker=outward == BID)
            self._book.set(outward, tick, resting - fill)
            self._publish_touch()
            filled += fill
            notional += fill * self._lot * tick * self._tick
            if filled == lots:
                break
        self._fair += 0.02 * outward * min(notional / self._order_notional, 20.0)
        return filled, notional

    def _follow_fair_price(self) -> None:
        """Move the quotes: half of what stands in the way is traded, half is cancelled."""
        bids, asks = self._book.bids, self._book.asks
        most = _MAX_ORDERED_MOVE_TICKS if self._moves else _MAX_MOVE_TICKS
        target = min(max(int(self._fair), bids.best - most), asks.best + most)
        for outward, side, limit in ((ASK, asks, target), (BID, bids, target + 1)):
            while (side.best - limit) * outward <= 0:
                tick = side.best
                if self._chance() < 0.5:
                    self._publish_trade(tick, side.levels[tick], buyer_is_maker=outward == BID)
                self._book.set(outward, tick, 0)
                self._publish_touch()
        self._fill(BID, target)
        self._fill(ASK, target + 1)

    def _fill(self, outward: int, target: int) -> None:
        """Quote at the target and, thinner, behind it down to the old best."""
        side = self._book.side(outward)
        behind = range(target + outward, side.best, outward)
        if side.best == target:
            return
        self._book.set(outward, target, self._size())
        self._publish_touch()
        self._quote(outward, behind)

    def _quote(self, outward: int, ticks: range) -> None:
        """Place orders at most of these ticks and leave the others empty."""
        levels = self._book.side(outward).levels
        for tick in ticks:
            if self._chance() < _OCCUPANCY:
                self._book.set(outward, tick, self._size())
            elif tick in levels:
                self._book.set(outward, tick, 0)

    def _liquidate(self, liquidation: Liquidation) -> None:
        """Close a position at the market; the order goes against it."""
        lots = int(liquidation.quantity / self._lot) + 1
        filled, notional = self._take(BID if liquidation.side > 0 else ASK, lots)
        self._tell_forced(liquidation.side, lots, liquidation.price, filled, notional)

    def _close(self, order: ForcedOrder) -> None:
        """Close a planted position at the market, as far as the book of this step goes."""
        lots = round(order.quantity / self._lot)
        outward = BID if order.side > 0 else ASK
        filled, notional = self._take(outward, lots, _MAX_LEVELS_FORCED)
        self._planted.filled(order, filled * self._lot, notional)
        self._tell_forced(order.side, lots, order.bankruptcy_price, filled, notional)

    def _tell_forced(
        self, side: int, lots: int, price: float, filled: int, notional: float
    ) -> None:
        """Count a forced order, which is published unless a larger one of its second is."""
        self._liquidations += 1
        order = self._writer.forced_order(
            side,
            lots,
            filled,
            tick=round(price / self._tick),
            average=notional / (filled * self._lot),
            now_ms=self._now_ms,
        )
        if self._largest is None or notional > self._largest[0]:
            self._largest = notional, order

    def _publish_liquidation(self) -> None:
        if self._largest is None or self._clock_s < self._force_order_due_s:
            return
        event = {"e": "forceOrder", "E": self._now_ms, "o": self._largest[1]}
        self._out.append((Channel.FORCE_ORDER, orjson.dumps(event)))
        self._published_liquidations += 1
        self._largest = None
        self._force_order_due_s = self._clock_s + _FORCE_ORDER_S

    def _slide_band(self, outward: int) -> None:
        """Keep the band of levels as wide as it was: add in front of its edge or clear behind."""
        side, edge = self._book.side(outward), self._edges[outward]
        revealed = side.best + REVEALED_TICKS * outward
        self._quote(outward, range(self._revealed[outward] + outward, revealed + outward, outward))
        self._revealed[outward] = revealed
        target = side.best + self._band * outward
        if (target - edge) * outward > 0:
            self._quote(outward, range(edge + outward, target + outward, outward))
        else:
            for tick in range(edge, target, -outward):
                if tick in side.levels:
                    self._book.set(outward, tick, 0)
        self._edges[outward] = target

    def _publish_touch(self) -> None:
        touch = self._book.touch()
        if touch == self._touch:
            return
        self._touch = touch
        text = self._writer.book_ticker(touch, self._book.sequence, self._now_ms)
        self._out.append((Channel.BOOK_TICKER, text))
        self._tickers += 1

    def _publish_trade(self, tick: int, lots: int, buyer_is_maker: bool) -> None:
        self._trade_id += 1
        payload = self._writer.trade(
            self._trade_id, tick, lots, buyer_is_maker=buyer_is_maker, now_ms=self._now_ms
        )
        self._out.append((Channel.TRADE, payload))
        self._recent.append(payload)
        price = tick * self._tick
        self._trades += 1
        self._last = price
        self._high, self._low = max(self._high, price), min(self._low, price)
        self._volume.add(self._clock_s, lots * self._lot, lots * self._lot * price)
        self.trade_bars.add(self._now_ms, price, lots * self._lot, 1)

    def _publish_depth(self) -> None:
        if self._book.sequence == self._last_depth:
            return
        text = self._writer.depth(
            self._book.take_changes(),
            previous=self._last_depth,
            sequence=self._book.sequence,
            now_ms=self._now_ms,
        )
        self._last_depth = self._book.sequence
        self._out.append((Channel.DEPTH, text))
        self._depths += 1

    def _mid(self) -> float:
        return (self._book.bids.best + self._book.asks.best) / 2 * self._tick

    def _size(self) -> int:
        """Return the lots of an order; drawn in blocks, which is cheaper."""
        if not self._sizes:
            draws = self._median_lots * self._rng.lognormal(0.0, 1.0, _DRAWS)
            self._sizes = (draws.astype(np.int64) + 1).tolist()
        return self._sizes.pop()

    def _chance(self) -> float:
        """Return a number from 0 to 1."""
        if not self._chances:
            self._chances = self._rng.random(_DRAWS).tolist()
        return self._chances.pop()
