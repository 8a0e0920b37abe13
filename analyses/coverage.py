"""Which share of the weights of networks that people have is measured?

Claim: of all weights in linear maps, embeddings counted apart, at least 99 % are layers of an audit, and the rest
is named. Refuted by a smaller share. Networks are built from their configurations, without any download, with
random weights; those of language are shrunk. Needs torchvision, timm and transformers.

Columns: `weights` are the parameters of linear maps that are no embeddings, `measured` those of them that are
part of a layer, `embeddings` and `embeddings_measured` the same of embeddings, `layers` the layers, `skipped` what the
audit names.
"""

import importlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from analyses.analysis import Analysis, Cell, Options, Row
from nfa.common import InputError
from nfa.data.inputs import Inputs
from nfa.network.forward import Forward
from nfa.probe import Probe

SAMPLES = 3
TOKENS, VOCABULARY = 12, 50
ENOUGH = 0.99


class UNet(nn.Module):
    """A small U-Net: two steps down, two up, with transposed convolutions and what was there on the way down."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(_double(*sizes) for sizes in ((3, 16), (16, 32), (32, 64)))
        self.up = nn.ModuleList(nn.ConvTranspose2d(*sizes, 2, 2) for sizes in ((64, 32), (32, 16)))
        self.joined = nn.ModuleList(_double(*sizes) for sizes in ((64, 32), (32, 16)))
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return two numbers for each picture: the mean over its pixels."""
        first = self.down[0](x)
        second = self.down[1](nn.functional.max_pool2d(first, 2))
        x = self.down[2](nn.functional.max_pool2d(second, 2))
        for up, joined, before in zip(self.up, self.joined, (second, first), strict=True):
            x = joined(torch.cat([up(x), before], 1))
        z: Tensor = self.head(x)
        return z.mean((2, 3))


def _double(d: int, k: int) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(d, k, 3, padding=1), nn.BatchNorm2d(k), nn.ReLU()),
        *(nn.Conv2d(k, k, 3, padding=1), nn.BatchNorm2d(k), nn.ReLU()),
    )


def _torchvision(name: str, **options: Any) -> nn.Module:
    net: nn.Module = getattr(importlib.import_module("torchvision.models"), name)(weights=None, **options)
    return net


def _timm(name: str) -> nn.Module:
    net: nn.Module = importlib.import_module("timm").create_model(name, pretrained=False)
    return net


def _transformers(network: str, config: str, **options: Any) -> nn.Module:
    library = importlib.import_module("transformers")
    net: nn.Module = getattr(library, network)(
        getattr(library, config)(vocab_size=VOCABULARY, use_cache=False, pad_token_id=0, **options)
    )
    return net


def _pictures(side: int) -> Inputs:
    return torch.randn(SAMPLES, 3, side, side, generator=torch.Generator().manual_seed(0))


def _tokens(*names: str) -> Inputs:
    draw = torch.Generator().manual_seed(0)
    return {name: torch.randint(1, VOCABULARY, (SAMPLES, TOKENS), generator=draw) for name in names}


_LLAMA = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Inputs], str | None]] = {
    "ResNet-18 (torchvision)": (partial(_torchvision, "resnet18"), partial(_pictures, 64), None),
    "VGG-11 (torchvision)": (partial(_torchvision, "vgg11"), partial(_pictures, 64), None),
    "ConvNeXt-T (torchvision)": (partial(_torchvision, "convnext_tiny"), partial(_pictures, 64), None),
    "ViT-B/16 (torchvision)": (partial(_torchvision, "vit_b_16", image_size=64), partial(_pictures, 64), None),
    "ViT-B/16 (timm)": (partial(_timm, "vit_base_patch16_224"), partial(_pictures, 224), None),
    "MLP-Mixer-S/16 (timm)": (partial(_timm, "mixer_s16_224"), partial(_pictures, 224), None),
    "BERT": (
        partial(_transformers, "BertForSequenceClassification", "BertConfig", **_LLAMA),
        partial(_tokens, "input_ids"),
        "logits",
    ),
    "GPT-2": (
        partial(_transformers, "GPT2LMHeadModel", "GPT2Config", n_embd=64, n_layer=2, n_head=4),
        partial(_tokens, "input_ids"),
        "logits",
    ),
    "Llama": (
        partial(_transformers, "LlamaForCausalLM", "LlamaConfig", **_LLAMA),
        partial(_tokens, "input_ids"),
        "logits",
    ),
    "T5": (
        partial(
            _transformers,
            "T5ForConditionalGeneration",
            "T5Config",
            d_model=64,
            d_kv=16,
            d_ff=96,
            num_layers=2,
            num_heads=4,
        ),
        partial(_tokens, "input_ids", "decoder_input_ids"),
        "logits",
    ),
    "U-Net": (UNet, partial(_pictures, 32), None),
}
"""By name: what makes the network, its data, and which of its outputs."""


def cells(options: Options) -> Sequence[Cell]:
    """One for each network."""
    names = ["U-Net"] if options.quick else list(NETWORKS)
    return [{"network": name, "samples": SAMPLES, "seed": 0} for name in names]


def rows(cell: Cell, options: Options) -> Iterable[Row]:
    """Find a network's layers, and run one random sum of its outputs back through them."""
    make, data, head = NETWORKS[cell["network"]]
    torch.manual_seed(cell["seed"])
    try:
        net = make().eval()
    except ImportError as error:
        raise InputError("network", f"{cell['network']} needs a library that is not there ({error})") from error
    yield measured(net, data(), head)


def measured(net: nn.Module, data: Inputs, head: str | None = None) -> Row:
    """Return how many of a network's weights are measured, and what is named as not measured."""
    with Probe(Forward(net, head=head), data) as probe:
        for _ in probe.sweeps(probes=1):
            pass
        layers = len([layer for layer in probe.layers if layer.name not in probe.dropped])
        skipped = [each["name"] for each in probe.skipped()]
    counted = {"weights": 0, "measured": 0, "embeddings": 0, "embeddings_measured": 0}
    for path, module in net.named_modules():
        kind = "embeddings" if isinstance(module, nn.Embedding) else "weights"
        for short, parameter in module.named_parameters(recurse=False):
            if parameter.ndim < 2 or not _is_linear(module):
                continue
            name = f"{path}.{short}" if path else short
            left = any(each in (path, name) or each.startswith(f"{path}.") for each in skipped)
            counted[kind] += parameter.numel()
            counted["embeddings_measured" if kind == "embeddings" else "measured"] += 0 if left else parameter.numel()
    return {**counted, "layers": layers, "skipped": ", ".join(skipped)}


def _is_linear(module: nn.Module) -> bool:
    """Return whether a module's matrices are applied as linear maps; other parameters are added or scale."""
    own = (nn.Linear, nn.Embedding, nn.MultiheadAttention, nn.modules.conv._ConvNd)
    return isinstance(module, own) or type(module).__name__ == "Conv1D"


def findings(table: pd.DataFrame) -> list[str]:
    """Say which share is measured, network by network, and what is not."""
    found = []
    for _, row in table.iterrows():
        share = row["measured"] / row["weights"]
        left = (
            f"; named as not measured: {row['skipped']}" if isinstance(row["skipped"], str) and row["skipped"] else ""
        )
        found.append(
            f"{row['network']}: {share:.1%} of {row['weights']:,} weights in linear maps, in {row['layers']} layers"
            f"{' (too few)' if share < ENOUGH else ''}{left}."
        )
    return found


ANALYSIS = Analysis(cells, rows, findings)
