"""The local venue: Binance USD-M's REST and WebSocket protocol on this machine.

The unmodified ccxt.pro client, given its URLs, works against it. It plays a recording
(`capture_source`) or an invented market (`generated_source`) and injects faults on request.
`python -m alphaplus.venue --help` starts one; `VenueProcess` starts it as a child.
"""

from alphaplus.venue.process import VenueProcess

__all__ = ["VenueProcess"]
