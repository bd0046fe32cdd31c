"""One vector for each window out of its tokens' hidden states, without a grid and without padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn


class Windows(Protocol):
    """Which token belongs to which window, and where in it."""

    def pool(self, how: str, hidden: Tensor) -> Tensor:
        """Return one vector for each window, (B, hidden), by one of `POOLINGS`."""
        ...


class Membership:
    """Which token of a packed batch belongs to which window.

    Made of comparisons, so that a CUDA graph can capture it: no operator reads the shape of an array.
    """

    def __init__(self, token_windows: Tensor, window_lengths: Tensor, places: Tensor) -> None:
        """`token_windows` (T,), -1 for padding; `window_lengths` (B,), at least 1; `places` (T,) within the window."""
        self.token_windows, self.window_lengths, self.places = token_windows, window_lengths, places
        numbers = torch.cumsum(torch.sign(window_lengths), dim=0) - 1  # (B,) 0, 1, 2, ...
        self.belongs = token_windows[None, :] == numbers[:, None]  # (B, T)

    def pool(self, how: str, hidden: Tensor) -> Tensor:
        """Pool (T, hidden) to (B, hidden)."""
        if how == "max":
            return self.greatest(hidden)
        shares = SHARES[how](self.belongs, self.places[None, :], self.window_lengths[:, None])  # (B, T)
        return shares.to(hidden.dtype) @ hidden

    def greatest(self, hidden: Tensor) -> Tensor:
        """Return the greatest of each column; a window without tokens has the least number that there is."""
        least = torch.full((1, hidden.shape[1]), torch.finfo(hidden.dtype).min, dtype=hidden.dtype)
        own = torch.where(self.token_windows[:, None] < 0, least, hidden)
        rows = self.token_windows[:, None].clamp(min=0) + torch.zeros_like(least, dtype=torch.int64)  # (T, hidden)
        empty = (self.window_lengths[:, None] * 0).to(hidden.dtype) + least  # (B, hidden)
        return torch.scatter_reduce(empty, 0, rows, own, reduce="amax")


class PaddedMembership:
    """The same for a padded batch, (B, S) tokens with hidden states (B, S, hidden)."""

    def __init__(self, attention_mask: Tensor) -> None:
        self.attention_mask = attention_mask

    def pool(self, how: str, hidden: Tensor) -> Tensor:
        """Pool (B, S, hidden) to (B, hidden)."""
        mask = self.attention_mask
        if how == "max":
            least = torch.finfo(hidden.dtype).min
            return hidden.masked_fill(mask[..., None] == 0, least).amax(dim=1)
        places = mask.cumsum(dim=1) - 1  # (B, S), whichever side the padding is on
        shares = SHARES[how](mask > 0, places, mask.sum(dim=1, keepdim=True))  # (B, S)
        return (shares.to(hidden.dtype)[:, None, :] @ hidden).squeeze(1)


# How much each token counts in the vector of its window: of (belongs (B, T) bool, places, lengths (B, 1)) -> (B, T).
SHARES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "mean": lambda belongs, places, lengths: belongs.float() / lengths.float(),
    "first": lambda belongs, places, lengths: (belongs & (places == 0)).float(),
    "last": lambda belongs, places, lengths: (belongs & (places == lengths - 1)).float(),
    "mean_sqrt_len": lambda belongs, places, lengths: belongs.float() / lengths.float().sqrt(),
    "weighted_mean": lambda belongs, places, lengths: (
        belongs.float() * (places + 1).float() * 2 / (lengths * (lengths + 1)).float()
    ),
}
POOLINGS = (*SHARES, "max")


class Pooling(nn.Module):
    """Reads a window: one vector of its tokens', by one of `POOLINGS`, and then `head` where there is one."""

    def __init__(self, how: str = "mean", head: nn.Module | None = None) -> None:
        super().__init__()
        self.how, self.inner = how, head

    def forward(self, hidden: Tensor, windows: Windows) -> Tensor:
        pooled = windows.pool(self.how, hidden)
        if self.inner is None:
            return pooled
        answer: Tensor = self.inner(pooled)
        return answer
