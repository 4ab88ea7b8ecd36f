"""Every metric by its key: what it is called, its unit and kind, and how it is summed up over tracks.

A score's key is ``part/metric``: the part is a stem (``vocals/sdr``), ``melody`` (f0 from the mixture),
``melody_clean`` (f0 from the clean stem), ``notes`` or ``notes_clean``. Shares are kept in [0, 1] and shown in percent.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Metric:
    """``name`` as tables say it, ``unit`` "dB", "%" or "cents", ``kind`` one line that says exactly what it is.

    ``better`` "higher" or "lower". ``weighted`` is the name of its length-weighted mean over tracks, where the
    literature has one; ``median`` says that the literature quotes the median over tracks.
    """

    key: str
    name: str
    unit: str
    kind: str
    better: str = "higher"
    weighted: str = ""
    median: bool = False

    @property
    def digits(self) -> int:
        """Decimals to show."""
        return {"dB": 2, "%": 1, "cents": 1}[self.unit]

    @property
    def scale(self) -> float:
        """What a stored value is multiplied with to be in its unit."""
        return 100.0 if self.unit == "%" else 1.0


_V3 = "BSS Eval v3 (mir_eval bss_eval_sources), one filter of 512 taps over the whole track"
_V4 = "BSS Eval v4 (museval), filter of 512 taps over the track; median over windows of 1 s"
_PITCH = "50 cents, mir_eval.melody"

METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric(key="sdr", name="global SDR", unit="dB", kind="one energy ratio over the whole track (uSDR)"),
        Metric(key="sdr_gain", name="global SDR gain", unit="dB", kind="global SDR less that of the mixture"),
        Metric(key="si_sdr", name="SI-SDR", unit="dB", kind="scale-invariant SDR over the whole track"),
        Metric(
            key="clip_snr", name="clip SNR", unit="dB", kind="energy ratio per clip of 1 s, median over clips",
            median=True,
        ),
        Metric(key="v4_sdr", name="SDR v4", unit="dB", kind=_V4, median=True),
        Metric(key="v4_isr", name="ISR v4", unit="dB", kind=_V4, median=True),
        Metric(key="v4_sir", name="SIR v4", unit="dB", kind=_V4, median=True),
        Metric(key="v4_sar", name="SAR v4", unit="dB", kind=_V4, median=True),
        Metric(key="v3_sdr", name="SDR v3", unit="dB", kind=_V3, weighted="GSDR"),
        Metric(
            key="v3_nsdr", name="NSDR", unit="dB", kind=f"SDR less that of the mixture; {_V3}", weighted="GNSDR"
        ),
        Metric(key="v3_sir", name="SIR v3", unit="dB", kind=_V3, weighted="GSIR"),
        Metric(key="v3_sar", name="SAR v3", unit="dB", kind=_V3, weighted="GSAR"),
        Metric(
            key="leakage_db", name="leakage", unit="dB", better="lower",
            kind="level against the mixture where the reference is silent",
        ),
        Metric(key="rpa", name="RPA", unit="%", kind=f"raw pitch accuracy, {_PITCH}"),
        Metric(key="rca", name="RCA", unit="%", kind=f"raw chroma accuracy, {_PITCH}"),
        Metric(key="oa", name="OA", unit="%", kind=f"overall accuracy, {_PITCH}"),
        Metric(key="vr", name="VR", unit="%", kind="voicing recall, mir_eval.melody"),
        Metric(key="vfa", name="VFA", unit="%", kind="voicing false alarm, mir_eval.melody", better="lower"),
        Metric(
            key="rpa_strict", name="RPA, unvoiced = miss", unit="%",
            kind="raw pitch accuracy where an estimate that says unvoiced counts as wrong (as some code publishes it)",
        ),
        Metric(key="voicing_f1", name="voicing F1", unit="%", kind="F measure of the voiced frames"),
        Metric(
            key="octave_errors", name="octave errors", unit="%", better="lower",
            kind="frames voiced in both that are right but for whole octaves, of all voiced in both",
        ),
        Metric(
            key="cents_p50", name="error, median", unit="cents", better="lower",
            kind="median of the absolute error of frames voiced in both",
        ),
        Metric(
            key="cents_p95", name="error, 95th percentile", unit="cents", better="lower",
            kind="95th percentile of the absolute error of frames voiced in both",
        ),
        *(
            Metric(key=f"{key}_{part}", name=f"{name} {said}", unit="%", kind=f"notes: {kind}, mir_eval.transcription")
            for key, name, kind in (
                ("con", "COn", "onset within 50 ms"),
                ("conp", "COnP", "onset within 50 ms and pitch within 50 cents"),
                ("conpoff", "COnPOff", "onset, pitch and offset (50 ms or 20 % of the note)"),
            )
            for part, said in (("f1", "F1"), ("precision", "precision"), ("recall", "recall"))
        ),
    )
}  # fmt: skip


def metric_of(key: str) -> Metric:
    """The metric of a score's key, ``vocals/sdr`` or just ``sdr``."""
    return METRICS[key.rpartition("/")[2]]


def part_of(key: str) -> str:
    """``vocals`` of ``vocals/sdr``."""
    return key.rpartition("/")[0]
