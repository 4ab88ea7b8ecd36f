"""A model card from what a checkpoint says of itself; where it says nothing, the card says so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from majl_cli.data.corpora import corpora
from majl_cli.data.corpora.corpus import plain_name
from majl_cli.hub.licence import NOT_STATED, front_matter

TAGS = ("majl", "music-source-separation", "pitch-estimation", "melody-extraction")
_LABELS = {
    "full": "stems and pitch",
    "mss": "stems",
    "pe": "pitch",
    "vocals": "vocals alone",
    "accompaniment": "accompaniment alone",
    "mixture": "mixtures without labels",
}
_MELODY = {
    "rpa": "raw pitch accuracy (50 cents)",
    "rca": "raw chroma accuracy (50 cents)",
    "oa": "overall accuracy",
    "vr": "voicing recall",
    "vfa": "voicing false alarm (lower is better)",
}


@dataclass(frozen=True, kw_only=True)
class Described:
    """A checkpoint for a card: its ``config.json``, the licence's words, the parameters of its modules by task."""

    repo: str
    config: Mapping[str, Any]
    licence: str
    parameters: Mapping[str, int]

    @property
    def architecture(self) -> Mapping[str, Any]:
        return self.config["architecture"]

    @property
    def training(self) -> Mapping[str, Any]:
        return (self.config.get("metadata") or {}).get("training") or {}

    @property
    def stems(self) -> str:
        return ", ".join(self.config.get("stems") or ()) or NOT_STATED

    @property
    def target(self) -> str:
        return self.architecture.get("target", "vocals")


def model_card(model: Described) -> str:
    """README.md of a repository: front matter, then what users ask for, in their order."""
    sections = (
        _introduction(model),
        _use(model),
        _architecture(model),
        _data(model),
        _scores(model),
        _limits(model),
        _licences(model),
    )
    return card_front_matter(model) + "\n" + "\n".join(sections)


def card_front_matter(model: Described) -> str:
    """What the Hub's search and its model page read."""
    trained_on = (_registered(key.rsplit("/", 2)[0]) for key in _corpora(model))
    data: dict[str, Any] = {
        **front_matter(model.licence),
        "library_name": "majl",
        "pipeline_tag": "audio-to-audio",
        "tags": list(TAGS),
    }
    names = sorted({name for name in trained_on if name})
    return f"---\n{yaml.safe_dump(data | ({'datasets': names} if names else {}), sort_keys=False)}---\n"


def _introduction(model: Described) -> str:
    separation, pitch = (model.architecture[task]["name"] for task in ("separation", "pitch"))
    return f"""# {model.repo.partition("/")[2]}

A joint model of majl: `{separation}` separates music into stems ({model.stems}), and
`{pitch}` behind it estimates the melody's pitch from its {model.target}.
Licence of the weights: **{model.licence}**.
"""


def _use(model: Described) -> str:
    return f"""## How to use it

```bash
majl models pull {model.repo}
majl separate song.wav --model {model.repo}
majl pitch song.wav --model {model.repo}
```

```python
import majl_cli

model = majl_cli.load_model("{model.repo}")
model.separate("song.wav", out="stems")
pitch = model.estimate_pitch("song.wav")
```
"""


def _architecture(model: Described) -> str:
    rows = []
    for task in ("separation", "pitch"):
        module = model.architecture[task]
        rate = (module.get("options") or {}).get("sample_rate")
        rows.append((task, f"`{module['name']}`", f"{model.parameters[task]:,}", f"{rate} Hz" if rate else NOT_STATED))
    options = {task: model.architecture[task].get("options") or {} for task in ("separation", "pitch")}
    return f"""## Architecture

{_table(("task", "module", "parameters", "sample rate"), rows)}
<details><summary>All options</summary>

```json
{json.dumps(options, indent=2)}
```

</details>
"""


def _data(model: Described) -> str:
    rows = []
    for key, size in _corpora(model).items():
        corpus, split, labels = ([*key.rsplit("/", 2), NOT_STATED, NOT_STATED])[:3]
        registered = _registered(corpus)
        licence = corpora[registered].licence if registered else NOT_STATED
        rows.append((corpus, split, _LABELS.get(labels, labels), str(size), licence))
    table = _table(("corpus", "split", "teaches", "size", "licence of the recordings"), rows)
    return f"## Training\n\n{_run(model.training)}\n\n{table if rows else f'Training data: {NOT_STATED}.'}\n"


def _run(training: Mapping[str, Any]) -> str:
    if not training:
        return f"How it was trained: {NOT_STATED}."
    init = (training.get("config") or {}).get("init")
    facts = [f"Stage {training['stage']}"] if "stage" in training else []
    facts += [f"from {init}"] if init else []
    facts += [f"{training['steps']} steps"] if "steps" in training else []
    facts += [f"{training['hours']} hours of computing"] if "hours" in training else []
    facts += [f"{name} {training[name]}" for name in ("seed", "torch", "python") if name in training]
    return f"{', '.join(facts) or NOT_STATED}."


def _scores(model: Described) -> str:
    scores = model.training.get("validation") or {}
    rows = _separation_rows(scores, model.target)
    for suffix, source in (("", "from the mixture"), ("_clean", f"from the clean {model.target}")):
        rows += [
            (words, f"{scores[key + suffix]:.1%}", f"mean over tracks, {source}")
            for key, words in _MELODY.items()
            if key + suffix in scores
        ]
    if not rows:
        return f"## Scores\n\n{NOT_STATED.capitalize()}.\n"
    validation = (model.training.get("config") or {}).get("validation") or {}
    tracks = f"{validation['tracks']} tracks" if "tracks" in validation else "tracks"
    mixed = f", mixed at {validation['snr_db']:g} dB" if "snr_db" in validation else ""
    return f"""## Scores

On up to {tracks} of the validation split{mixed}. The checkpoint was chosen by these: they are no test result.

{_table(("measure", "value", "kind"), rows)}"""


def _separation_rows(scores: Mapping[str, float], target: str) -> list[tuple[str, ...]]:
    kinds = {
        "sdr": (f"SDR of {target}", "global SDR (one ratio over a whole track), mean over tracks"),
        "sdr_gain": (f"gain in SDR of {target}", "global SDR less that of the mixture itself, mean over tracks"),
        "leakage_db": ("leakage (lower is better)", f"level against the mixture where the {target} are silent"),
    }
    return [(words, f"{scores[key]:.2f} dB", kind) for key, (words, kind) in kinds.items() if key in scores]


def _limits(model: Described) -> str:
    rate = model.config.get("sample_rate")
    above = f" Of what lies above {rate // 2} Hz the stems hold nothing." if isinstance(rate, int) else ""
    return f"""## Known limits

- Stems: {model.stems}; everything else is the mixture less these.{above}
- One melody: of several voices at once it follows one.
- Music unlike its training data is separated and followed less well. Other limits: {NOT_STATED}.
"""


def _licences(model: Described) -> str:
    return f"""## Licences

- These weights: {model.licence}
- Recordings they were trained on: see the table under Training. Where that says "{NOT_STATED}", ask before any use
  beyond research.
- The code of majl: Apache-2.0
"""


def _corpora(model: Described) -> Mapping[str, Any]:
    return model.training.get("corpora") or {}


def _registered(corpus: str) -> str | None:
    """The name in majl's registry of corpora of the one that calls itself ``corpus``: MUSDB18-HQ is musdb18."""
    plain = plain_name(corpus).removesuffix("hq")
    return next((name for name in corpora if name != "stems" and plain_name(name) == plain), None)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)
