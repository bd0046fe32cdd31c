"""One vector for each window out of its tokens' hidden states, without a grid and without padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Membership:
    """Which token of a packed batch belongs to which window.

    Made of comparisons, so that a CUDA graph can capture it: no operator reads the shape of an array.
    """

    def __init__(self, token_windows: Tensor, window_lengths: Tensor, places: Tensor) -> None:
        """`token_windows` (T,), -1 for padding; `window_lengths` (B,), at least 1; `places` (T,) within the window."""
        self.window_lengths, self.places = window_lengths, places
        numbers = torch.cumsum(torch.sign(window_lengths), dim=0) - 1  # (B,) 0, 1, 2, ...
        self.belongs = token_windows[None, :] == numbers[:, None]  # (B, T)

    def mean(self, hidden: Tensor) -> Tensor:
        """Return the mean of each window's tokens: (T, hidden) -> (B, hidden)."""
        shares = self.belongs.to(hidden.dtype) / self.window_lengths[:, None].to(hidden.dtype)
        return shares @ hidden

    def first(self, hidden: Tensor) -> Tensor:
        """Return the first token of each window: (T, hidden) -> (B, hidden)."""
        return (self.belongs & (self.places == 0)[None, :]).to(hidden.dtype) @ hidden


class PaddedMembership:
    """The same for a padded batch, (B, S) tokens with hidden states (B, S, hidden)."""

    def __init__(self, attention_mask: Tensor) -> None:
        self.attention_mask = attention_mask

    def mean(self, hidden: Tensor) -> Tensor:
        """Return the mean of each window's tokens: (B, S, hidden) -> (B, hidden)."""
        mask = self.attention_mask.to(hidden.dtype)
        shares = mask / mask.sum(dim=1, keepdim=True)  # (B, S)
        return (shares[:, None, :] @ hidden).squeeze(1)

    def first(self, hidden: Tensor) -> Tensor:
        """Return the first token of each window: (B, S, hidden) -> (B, hidden)."""
        return hidden[:, 0]


class MeanPooling(nn.Module):
    """Reads a window: the mean of its tokens, and then `head` where there is one."""

    def __init__(self, head: nn.Module | None = None) -> None:
        super().__init__()
        self.inner = head

    def forward(self, hidden: Tensor, membership: Membership | PaddedMembership) -> Tensor:
        pooled = membership.mean(hidden)
        if self.inner is None:
            return pooled
        answer: Tensor = self.inner(pooled)
        return answer


class FirstPooling(nn.Module):
    """Reads a window: its first token."""

    def forward(self, hidden: Tensor, membership: Membership | PaddedMembership) -> Tensor:
        return membership.first(hidden)
