"""What transformers have in common, open_clip's own and those of timm: blocks on tokens of one width."""

from abc import abstractmethod
from collections.abc import Collection
from contextlib import AbstractContextManager
from functools import partial

import torch
from torch import Tensor, nn

from crosseyed.models.towers.base import AttentionStep, AttentionWeights, Calls, TowerAdapter
from crosseyed.models.towers.skipping import computing, given, returning


class BlocksAdapter(TowerAdapter):
    """Towers of blocks that add attention and an MLP to the tokens; a family says by `_`-methods where they are."""

    _dtype: torch.dtype
    _blocks: nn.Sequential | nn.ModuleList

    def _take_blocks(self, blocks: nn.Sequential | nn.ModuleList) -> None:
        self._blocks = blocks
        self.layers = tuple(range(len(blocks) + 1))
        self.blocks = self.layers[1:]
        self.resumable = self.layers

    def modules(self, want: Collection[str]) -> dict[str, nn.Module]:
        """Name the blocks, what follows them, and what attention and MLP add if wanted."""
        named = self._after_blocks()
        for layer, block in zip(self.blocks, self._blocks, strict=True):
            named[f"block {layer}"] = block
            adding = zip(("attention_output", "mlp"), self._branches(block), strict=True)
            named |= {f"{what} {layer}": module for what, module in adding if what in want}
        return named

    def tokens(self, calls: Calls, layer: int) -> Tensor:
        """Return what enters the first block, or what a block returned."""
        return calls["block 1"][0] if layer == 0 else calls[f"block {layer}"][1]

    def resumed(self, layer: int, state: Tensor) -> AbstractContextManager[None]:
        """Give the tokens to the first block, or let the blocks that lead to the depth return them."""
        if layer not in self.resumable:
            return super().resumed(layer, state)
        state = state.to(self._dtype)
        return returning(self._blocks[:layer], state) if layer else given(self._blocks[0], state)

    def pooled_alone(self) -> AbstractContextManager[None]:
        """Let the last block return one token: nothing reads the others."""
        if self.pooled_token is None:
            return super().pooled_alone()
        layer, pooled = self.blocks[-1], slice(self.pooled_token, self.pooled_token + 1)
        weights = self.attention(layer).at(pooled)

        def forward(tokens: Tensor, *_: object, **__: object) -> Tensor:
            read = self._enter(self._block(layer), tokens).float()
            written = weights.write(weights.rows(read[:, pooled], read), read)
            return self.after_attention(layer, tokens[:, pooled] + written).to(self._dtype)

        return computing(self._blocks[-1], forward)

    def attended(self, calls: Calls, layer: int) -> Tensor:
        """Return the tokens that enter the block, normalised by it."""
        return self._enter(self._block(layer), self.tokens(calls, layer - 1))

    def added(self, calls: Calls, layer: int, what: str) -> Tensor:
        """Return what attention or MLP added, after its layer scale."""
        return calls[f"{what} {layer}"][1]

    def attention(self, layer: int) -> AttentionWeights:
        """Return the weights of a block's attention, with its layer scale in the output."""
        return self._weights(self._block(layer))

    def after_attention(self, layer: int, tokens: Tensor) -> Tensor:
        """Add the block's MLP, after its layer scale."""
        block, tokens = self._block(layer), tokens.to(self._dtype)
        return (tokens + self._mlp(block, tokens)).float()

    def attention_steps(self) -> dict[int, AttentionStep]:
        """Return the attention of the blocks and, of a tower that pools by attention, of the pooling."""
        token = self.pooled_token
        rows = slice(None) if token is None else slice(token, token + 1)
        return self._block_steps(rows) | self._pooling_steps()

    def spatial_steps(self) -> dict[int, AttentionStep]:
        """Return the attention of the blocks in the rows of the spatial tokens, or of all where all are pooled."""
        return self._block_steps(slice(None) if self.pooled_token is None else slice(self.prefix, None))

    def _block_steps(self, rows: slice) -> dict[int, AttentionStep]:
        def entering(tokens: Tensor, block: nn.Module) -> tuple[Tensor, Tensor]:
            read = self._enter(block, tokens)
            return read[:, rows], read

        return {
            layer: AttentionStep(
                entry=block,
                exit=self._branches(block)[0],
                rows=rows,
                weights=self.attention(layer).at(rows),
                tokens=lambda tokens: tokens,
                attended=partial(entering, block=block),
            )
            for layer, block in zip(self.blocks, self._blocks, strict=True)
        }

    def _block(self, layer: int) -> nn.Module:
        if layer not in self.blocks:
            raise self._no_block(layer)
        return self._blocks[layer - 1]

    @abstractmethod
    def _after_blocks(self) -> dict[str, nn.Module]:
        """Name the final norm and what else `pool` has to hear."""

    @abstractmethod
    def _branches(self, block: nn.Module) -> tuple[nn.Module, nn.Module]:
        """Return the modules whose outputs are what attention and MLP add."""

    @abstractmethod
    def _enter(self, block: nn.Module, tokens: Tensor) -> Tensor:
        """Return what a block's attention reads of the tokens that enter the block."""

    @abstractmethod
    def _weights(self, block: nn.Module) -> AttentionWeights: ...

    @abstractmethod
    def _mlp(self, block: nn.Module, tokens: Tensor) -> Tensor: ...

    @abstractmethod
    def _pooling_steps(self) -> dict[int, AttentionStep]: ...
