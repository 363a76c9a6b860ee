-- Portfolios: what they hold, kept through every restart, and their equity day by day.

CREATE TABLE portfolios (
    id text PRIMARY KEY,
    accounts jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE portfolios IS 'What each portfolio holds, as it was last set';
COMMENT ON COLUMN portfolios.id IS 'name of the portfolio';
COMMENT ON COLUMN portfolios.accounts IS
    'accounts with wallets and positions, in the form that the API takes';
COMMENT ON COLUMN portfolios.updated_at IS 'when it was last set, by the clock of the database';

CREATE TABLE portfolio_equity (
    portfolio text NOT NULL,
    day date NOT NULL,
    time timestamptz NOT NULL,
    equity float8 NOT NULL,
    PRIMARY KEY (portfolio, day)
);
COMMENT ON TABLE portfolio_equity IS 'Equity of each portfolio, the last reading of each UTC day';
COMMENT ON COLUMN portfolio_equity.portfolio IS 'name of the portfolio';
COMMENT ON COLUMN portfolio_equity.day IS 'day, UTC';
COMMENT ON COLUMN portfolio_equity.time IS 'when the equity was read, UTC';
COMMENT ON COLUMN portfolio_equity.equity IS
    'wallets and open profit of all accounts, quote currency';
