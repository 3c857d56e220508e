"""Recurrent mixers: what a token sees of the others is a state of constant size."""

from allyouneed.blocks.mixers.mamba import Mamba as Mamba
from allyouneed.blocks.mixers.mamba import MambaState as MambaState
from allyouneed.blocks.mixers.scan import selective_scan as selective_scan
from allyouneed.blocks.mixers.scan import selective_scan_reference as selective_scan_reference

__all__ = ["Mamba", "MambaState", "selective_scan", "selective_scan_reference"]
