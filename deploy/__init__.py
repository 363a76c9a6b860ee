"""How AlphaPlus is run elsewhere than on one machine, and how it is watched."""
