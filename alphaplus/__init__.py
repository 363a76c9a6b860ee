"""AlphaPlus: order books, liquidity and leverage risk of crypto perpetual futures, in real time."""
