"""The desk: all portfolios, and everything that is computed of them. A plain class, no I/O.

It takes what symbols tell (`STATE` and `MARKET_RISK` rows), tiers, histories and accounts, and
answers questions at a time that the caller gives. Not safe for threads: its owner locks it.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from alphaplus.errors import (
    ConfigError,
    MissingTier,
    RiskError,
    UnknownPortfolio,
    UnknownPosition,
    UnknownSymbol,
)
from alphaplus.instruments import Instrument, symbol_from_ccxt
from alphaplus.leverage.account_input import AccountInput, quote
from alphaplus.leverage.dynamic_leverage import LeverageAdvice
from alphaplus.leverage.leverage_steps import LeverageState, LeverageSteps
from alphaplus.leverage.tiers import TierBook, TierTable
from alphaplus.portfolio.accounts import MAIN, Account, check_portfolio_id
from alphaplus.portfolio.advice import Adviser, MarketFacts, Others, market_facts
from alphaplus.portfolio.board import MarketBoard
from alphaplus.portfolio.desk_answers import advice_answer, portfolio_answer, position_answer
from alphaplus.portfolio.desk_settings import DeskSettings
from alphaplus.portfolio.equity_curve import EquityCurve, Floats, Ints
from alphaplus.portfolio.held import HeldPortfolio, Snapshot
from alphaplus.portfolio.histories import HistorySet
from alphaplus.portfolio.models import MarketModels, build_models, no_models
from alphaplus.portfolio.reading import AccountReader
from alphaplus.portfolio.scenario_models import Model
from alphaplus.portfolio.scores import MarketLiquidity, sigma_of
from alphaplus.portfolio.stress_inputs import StressAccount, StressHoldings, StressInputs
from alphaplus.portfolio.valuation import value_accounts

ADVISE_EVERY_NS: Final = 500_000_000
"""How often the advice for a market that is held is computed anew: it costs a bisection."""
_KeptAdvice = tuple[int, MarketModels, dict[str, Any]]


class RiskDesk:
    """Portfolios by id; `main` is always there."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        *,
        stale_after_ms: float,
        settings: DeskSettings | None = None,
    ) -> None:
        self.settings = settings or DeskSettings()
        self.board = MarketBoard(instruments, stale_after_ms=stale_after_ms)
        self._reader = AccountReader(instruments, default_leverage=self.settings.default_leverage)
        self._tiers: dict[str, TierBook] = {}
        self._models: dict[Model, MarketModels] = {}
        self._portfolios: dict[str, HeldPortfolio] = {}
        self._curves: dict[str, EquityCurve] = {}
        self._steps = LeverageSteps(self.settings.steps)
        self._step_keys: dict[str, set[tuple[str, ...]]] = {}
        self._advice: dict[str, dict[tuple[str, str], _KeptAdvice]] = {}
        self._set(MAIN, ())

    @property
    def portfolio_ids(self) -> tuple[str, ...]:
        """All portfolios, `main` first."""
        return tuple(self._portfolios)

    def take_state(self, row: np.void) -> None:
        """Take a `STATE` row of one market."""
        self.board.take_state(row)

    def take_risk(self, row: np.void) -> None:
        """Take a `MARKET_RISK` row of one market."""
        self.board.take_risk(row)

    def set_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Watch these markets from now on, and know those that a portfolio still holds."""
        held = {
            item.key: item.instrument
            for portfolio_id in self._portfolios
            for account in self.accounts(portfolio_id)
            for item in account.positions
        }
        wanted = {item.key: item for item in instruments}
        self.board.set_instruments((held | wanted).values())
        self._reader.set_instruments(wanted.values())
        self._rebuild()

    def holders(self, symbols: Collection[str]) -> dict[str, list[str]]:
        """Return which portfolios are valued by each of some symbols; none: left out."""
        found: dict[str, list[str]] = {}
        for portfolio_id, held in self._portfolios.items():
            valued_by = {key.partition(":")[2] for key in held.markets}
            for symbol in valued_by.intersection(symbols):
                found.setdefault(symbol, []).append(portfolio_id)
        return found

    def set_tiers(self, exchange: str, book: TierBook) -> None:
        """Take the leverage tiers of an exchange, in place of those before."""
        self._tiers[exchange] = book
        self._rebuild()

    def set_history(self, history: HistorySet) -> None:
        """Build the default model of a history here and now; see `set_models` for a thread."""
        self.set_models(build_models(history, self.settings.default_model))

    def set_models(self, models: MarketModels) -> None:
        """Take the models of a history, in place of those of the same model before."""
        self._models[models.model] = models

    def models(self, model: Model | None = None) -> MarketModels:
        """Return the models in force, of nothing while none were built."""
        name = model or self.settings.default_model
        return self._models.get(name) or no_models(name)

    def set_accounts(self, portfolio_id: str, wanted: Sequence[Mapping[str, Any]]) -> None:
        """Replace a portfolio's accounts, see `AccountReader.accounts`; none of them: it ends.

        Raises RiskError, and changes nothing, if one is wrong.
        """
        accounts = self._reader.accounts(wanted)
        self._set(check_portfolio_id(portfolio_id), accounts)

    def set_positions(
        self, wanted: Sequence[Mapping[str, Any]], wallet_balance: float | None = None
    ) -> None:
        """Replace what the portfolio `main` holds, see `AccountReader.positions`."""
        self._set(MAIN, self._reader.positions(wanted, wallet_balance))

    def accounts(self, portfolio_id: str) -> tuple[Account, ...]:
        """Return a portfolio's accounts; raises UnknownPortfolio."""
        return self._held(portfolio_id).accounts

    def report(self, portfolio_id: str, now_ns: int, model: Model | None = None) -> dict[str, Any]:
        """Return figures, accounts, positions with scores and advice, ready for JSON.

        Raises UnknownPortfolio.
        """
        held, models = self._held(portfolio_id), self.models(model)
        snapshot = self._snapshot(portfolio_id, now_ns, models)
        answer = portfolio_answer(portfolio_id, held, snapshot, models, now_ns)
        advice = self._portfolio_advice(portfolio_id, snapshot, models, now_ns)
        answer["advice"] = advice
        net = snapshot.net_notionals()
        for row in answer["positions"]:
            key = f"{row['exchange']}:{row['symbol']}"
            row["advice"] = self._position_advice(
                portfolio_id, key, row["side"], now_ns, models, snapshot=snapshot, net=net
            )
        return answer

    def liquidation(self, portfolio_id: str, symbol: str, now_ns: int) -> list[dict[str, Any]]:
        """Return liquidation price, distance and score of each position in a symbol.

        Raises UnknownPosition if the portfolio does not hold it.
        """
        models = self.models()
        snapshot = self._snapshot(portfolio_id, now_ns, models)
        found = [
            position_answer(state, scores[at], at, now_ns, snapshot)
            for state, scores in zip(snapshot.states, snapshot.scores, strict=True)
            for at, item in enumerate(state.account.positions)
            if item.symbol == symbol
        ]
        if not found:
            held = {item.symbol for s in snapshot.states for item in s.account.positions}
            raise UnknownPosition(portfolio_id, symbol, tuple(sorted(held)))
        return found

    def advice(
        self,
        symbol: str,
        exchange: str | None,
        now_ns: int,
        *,
        portfolio_id: str | None = None,
        equity: float | None = None,
    ) -> dict[str, Any]:
        """Return the leverage advice of a symbol, long and short, with every input.

        For the equity that is given, else the portfolio's, else the reference equity; the
        answer says which. Raises RiskError for an unknown symbol, portfolio or equity.
        """
        instrument = self._reader.instrument(symbol, exchange)
        if equity is not None and not (math.isfinite(equity) and equity > 0):
            raise RiskError(f"Expected equity above 0, was {equity}.")
        models, name = self.models(), portfolio_id or MAIN
        snapshot = self._snapshot(name, now_ns, models)
        mark, net = self.board.mark(instrument.key, now_ns), snapshot.net_notionals()
        sides = {
            word: self._market_advice(
                instrument.key, side, now_ns, models,
                snapshot=snapshot, portfolio_id=name, net=net, equity=equity, explain=True,
            )
            for word, side in (("long", 1), ("short", -1))
        }  # fmt: skip
        return {
            "symbol": instrument.symbol,
            "exchange": instrument.exchange,
            "portfolio": name,
            "mark_price": mark.price,
            "model": models.model,
            "history_as_of": models.as_of,
            **sides,
            "ts_event": mark.ts_event or None,
            "ts_recv": mark.ts_recv or None,
            "stale": mark.price is None,
            "stale_reason": next(iter(mark.missing), None),
        }

    def value(self, portfolio_id: str, now_ns: int) -> dict[str, Any]:
        """Return what a portfolio's positions are worth; raises RiskError if it is unknown."""
        return value_accounts(
            self.accounts(portfolio_id), self.board, now_ns, self.settings.at_par
        ) | {"portfolio": portfolio_id}

    def overview(self, now_ns: int) -> list[dict[str, Any]]:
        """Return every portfolio's accounts and totals, `main` first."""
        return [self.overview_of(portfolio_id, now_ns) for portfolio_id in self._portfolios]

    def overview_of(self, portfolio_id: str, now_ns: int) -> dict[str, Any]:
        """Return a portfolio's accounts and totals; empty for one that has ended."""
        if portfolio_id not in self._portfolios:
            return {"portfolio": portfolio_id, "accounts": [], "positions": []}
        accounts = [
            {
                "id": account.id,
                "exchange": account.exchange,
                "margin_mode": account.margin_mode,
                "position_mode": account.position_mode,
                "wallet_balance": account.wallet_balance,
                "currency": account.settlement,
                "collateral": [asdict(item) for item in account.collateral],
            }
            for account in self.accounts(portfolio_id)
        ]
        return {"accounts": accounts, **self.value(portfolio_id, now_ns)}

    def margin_quote(
        self, exchange: str, account: Mapping[str, Any], now_ns: int
    ) -> dict[str, Any]:
        """Return the margins of an account that nobody has, on an exchange's tiers of now.

        `account` is that of `alphaplus margin`; a mark price that it leaves out is the live one
        where the symbol is watched there. Raises RiskError for what is not usable.
        """
        live: list[str] = []
        positions = []
        for item in account["positions"]:
            key, price = f"{exchange}:{_ours(item['symbol'])}", None
            if item.get("mark_price") is None and key in self.board.instruments:
                price = self.board.mark(key, now_ns).price
            if price is not None:
                live.append(item["symbol"])
            positions.append(item if price is None else {**item, "mark_price": price})
        try:
            wanted = AccountInput.model_validate({**account, "positions": positions})
            found = quote(wanted, exchange, self._tiers.get(exchange))
        except (ConfigError, ValidationError) as error:
            raise RiskError(str(error)) from error
        return found | {"exchange": exchange, "live_marks": live, "as_of": now_ns}

    def restore_equity(self, portfolio_id: str, times: Ints, equities: Floats) -> None:
        """Begin a portfolio's equity curve with what was kept of days before."""
        curve = self._curves.get(portfolio_id)
        if curve is not None:
            curve.restore(times, equities)

    def equities(self) -> dict[str, float]:
        """Return the newest equity of each portfolio that has accounts and a known one."""
        found = {
            name: self._curves[name].last
            for name, held in self._portfolios.items()
            if held.accounts
        }
        return {name: equity for name, equity in found.items() if equity is not None}

    def tick(self, now_ns: int) -> None:
        """Sample equity and let leverage step on; to be called about once a second."""
        for portfolio_id, held in self._portfolios.items():
            if held.accounts:
                self.report(portfolio_id, now_ns)

    def stress_market(self, portfolio_id: str, now_ns: int) -> StressInputs:
        """Return what a stress run takes, at the marks of `now_ns`."""
        found, missing = [], []
        for account in self.accounts(portfolio_id):
            if account.wallet_balance is None:
                missing.append(f"wallet_balance of account {account.id}")
                continue
            marks = {p.symbol: self.board.mark(p.key, now_ns).price for p in account.positions}
            found.append(
                StressAccount(
                    name=account.id,
                    exchange=account.exchange,
                    account=account.margin_account(account.wallet_balance, marks),
                )
            )
        keys, models = self.board.instruments, self.models()
        rates = {key: self.board.figure(key, "funding_rate") for key in keys}
        rows = {key: self.board.risk(key, now_ns) for key in keys}
        sigmas = {k: sigma_of(k, MarketLiquidity.of(row), models).value for k, row in rows.items()}
        return StressInputs(
            rows=tuple(rows.values()),
            tiers=dict(self._tiers),
            betas=models.betas,
            sigmas={key: value for key, value in sigmas.items() if value is not None},
            funding_rates={key: rate for key, rate in rates.items() if rate is not None},
            holdings=StressHoldings(accounts=tuple(found), left_out=tuple(missing)),
            at_par=self.settings.at_par,
        )

    def tiers_of(self, exchange: str) -> TierBook | None:
        """Return the tiers of an exchange, None while there are none."""
        return self._tiers.get(exchange)

    def _snapshot(self, portfolio_id: str, now_ns: int, models: MarketModels) -> Snapshot:
        held = self._held(portfolio_id)
        curve = self._curves[portfolio_id]
        snapshot = held.snapshot(now_ns, models, curve.values)
        equity = snapshot.report.figures["equity"].value
        if curve.values is None and equity is not None and equity > 0:
            curve.sample(now_ns, equity)  # the first equity begins the curve: a drawdown of 0
            snapshot = held.snapshot(now_ns, models, curve.values)
        curve.sample(now_ns, equity)
        return snapshot

    def _position_advice(
        self,
        portfolio_id: str,
        key: str,
        side: str,
        now_ns: int,
        models: MarketModels,
        *,
        snapshot: Snapshot,
        net: Mapping[str, float],
    ) -> dict[str, Any]:
        """Return the advice for a market that is held, computed anew twice a second."""
        kept = self._advice.setdefault(portfolio_id, {})
        known = kept.get((key, side))
        if known is not None and known[1] is models and 0 <= now_ns - known[0] < ADVISE_EVERY_NS:
            return known[2]
        found = self._market_advice(
            key,
            1 if side == "long" else -1,
            now_ns,
            models,
            snapshot=snapshot,
            portfolio_id=portfolio_id,
            net=net,
        )
        kept[key, side] = now_ns, models, found
        return found

    def _market_advice(
        self,
        key: str,
        side: int,
        now_ns: int,
        models: MarketModels,
        *,
        snapshot: Snapshot,
        portfolio_id: str,
        net: Mapping[str, float],
        equity: float | None = None,
        explain: bool = False,
    ) -> dict[str, Any]:
        """Return the advice for one market and side, and where its leverage steps are."""
        facts = self._facts(key, side, now_ns, models)
        figures = snapshot.report.figures
        own, drawdown = figures["equity"].value, figures["drawdown"].value
        source = "given" if equity is not None else "portfolio" if snapshot.states else "reference"
        if source == "given":
            drawdown = 0.0
        elif source == "reference":
            equity, drawdown = self.settings.reference_equity, 0.0
        else:
            equity = own
        rest = {name: value for name, value in net.items() if name != key}
        others = Others(keys=tuple(rest), notionals=tuple(rest.values()))
        adviser = Adviser(self.settings.advice, models)
        advice = adviser.market(facts, equity, drawdown=drawdown, others=others)
        step_key = (portfolio_id, key, "long" if side > 0 else "short", source)
        state = self._step(step_key, advice, now_ns, models)
        answer = advice_answer(advice, state)
        if explain:
            answer["inputs"] = facts.as_dict() | {
                "equity": equity,
                "equity_source": source,
                "drawdown": drawdown,
            }
        return answer

    def _portfolio_advice(
        self, portfolio_id: str, snapshot: Snapshot, models: MarketModels, now_ns: int
    ) -> dict[str, Any] | None:
        """Return the advice for a whole portfolio; None while it holds nothing."""
        net = snapshot.net_notionals()
        if not net:
            return None
        held = [
            (self._facts(key, 1 if notional > 0 else -1, now_ns, models), notional)
            for key, notional in net.items()
        ]
        figures = snapshot.report.figures
        advice = Adviser(self.settings.advice, models).portfolio(
            held,
            figures["equity"].value,
            drawdown=figures["drawdown"].value,
            shortfall_1d=figures["es_975_1d"].value,
        )
        state = self._step((portfolio_id, "portfolio"), advice, now_ns, models)
        return advice_answer(advice, state)

    def _step(
        self, key: tuple[str, ...], advice: LeverageAdvice, now_ns: int, models: MarketModels
    ) -> LeverageState:
        """Let what is held follow the advice; a model that was only asked for moves nothing."""
        if models.model != self.settings.default_model:
            return self._steps.state(key)
        self._step_keys.setdefault(key[0], set()).add(key)
        return self._steps.update(key, advice, now_ns)

    def _facts(self, key: str, side: int, now_ns: int, models: MarketModels) -> MarketFacts:
        row = self.board.risk(key, now_ns)
        return market_facts(
            row,
            side,
            key=key,
            sigma=sigma_of(key, MarketLiquidity.of(row), models).value,
            models=models,
            daily_volume=self.board.figure(key, "turnover_24h"),
            funding_rate=self.board.figure(key, "funding_rate"),
            tiers=self._table(key, now_ns),
        )

    def _table(self, key: str, now_ns: int) -> TierTable | MissingTier:
        exchange, _, symbol = key.partition(":")
        try:
            book = self._tiers.get(exchange)
            if book is None:
                return MissingTier(f"Expected tiers of {exchange}, were none.")
            return book.table(symbol, now_ns)
        except MissingTier as error:
            return error

    def _held(self, portfolio_id: str) -> HeldPortfolio:
        try:
            return self._portfolios[portfolio_id]
        except KeyError:
            raise UnknownPortfolio(portfolio_id, self.portfolio_ids) from None

    def _set(self, portfolio_id: str, accounts: tuple[Account, ...]) -> None:
        for key in self._step_keys.pop(portfolio_id, set()):
            self._steps.forget(key)
        self._advice.pop(portfolio_id, None)
        if accounts or portfolio_id == MAIN:
            self._portfolios[portfolio_id] = self._made(accounts)
            self._curves.setdefault(portfolio_id, EquityCurve())
        else:
            self._portfolios.pop(portfolio_id, None)
            self._curves.pop(portfolio_id, None)

    def _rebuild(self) -> None:
        self._advice.clear()
        for portfolio_id, held in self._portfolios.items():
            self._portfolios[portfolio_id] = self._made(held.accounts)

    def _made(self, accounts: tuple[Account, ...]) -> HeldPortfolio:
        return HeldPortfolio(accounts, self.board, self._tiers, self.settings)


def _ours(symbol: str) -> str:
    """Return our name of a symbol that may be ccxt's."""
    try:
        return symbol_from_ccxt(symbol)
    except UnknownSymbol:
        return symbol
