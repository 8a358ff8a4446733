"""Makes metrics.json beside it with scikit-learn, SciPy, statsmodels and MONAI, and luna16.json from a real submission.

Run by hand, never by the tests: python test/golden/make_metrics.py [FOLDER]
(needs numpy, scipy, scikit-learn, statsmodels, torch, monai). FOLDER is evaluationScript/annotations of the public
repository DeepLung: LUNA16's annotations, and a submission that calls scans by numbers.
"""
import csv
import json
import sys
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from monai.losses import DiceLoss
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage, spatial, stats
from sklearn.metrics import average_precision_score, f1_score, jaccard_score, roc_auc_score, roc_curve
from statsmodels.stats.multitest import multipletests

HERE = Path(__file__).parent
warnings.simplefilter("ignore")
plain = lambda v: None if not np.isfinite(v) else float(v)


# ---- scores ----------------------------------------------------------------------------------------------------
def scores():
    rng = np.random.default_rng(1)
    cases = []
    for n, digits, shift in [(12, 1, 0.3), (80, 1, 0.1), (300, 6, 0.2), (40, 0, 0.0), (400, 2, 0.4)]:
        label = (rng.random(n) < 0.3).astype(int)
        label[:2] = 0, 1
        score = np.round(rng.random(n) + shift * label, digits)
        cases.append({"label": label.tolist(), "score": score.tolist(), "auc": roc_auc_score(label, score),
                      "average_precision": average_precision_score(label, score)})
    return cases


# ---- detections: the rules of noduleCADEvaluationLUNA16.py, written again -----------------------------------------
RATES = [0.125, 0.25, 0.5, 1, 2, 4, 8]


def froc(scans, detections, lesions, excluded):
    """Rows are (scan, x, y, z, score or diameter)."""
    def inside(d, a):
        diameter = 10.0 if a[4] < 0 else a[4]
        return sum((p - q) ** 2 for p, q in zip(d[1:4], a[1:4])) < (diameter / 2) ** 2

    by = lambda rows: [groups := defaultdict(list), [groups[r[0]].append(r) for r in rows]][0]
    found, sought, irrelevant = by(detections), by(lesions), by(excluded)
    truth, score, missed = [], [], 0
    for scan in scans:
        left = dict(enumerate(found[scan]))
        for lesion in sought[scan]:
            hits = [i for i, d in enumerate(found[scan]) if inside(d, lesion)]
            if hits:
                truth.append(1)
                score.append(max(found[scan][i][4] for i in hits))
            else:
                missed += 1
            for i in hits:
                left.pop(i, None)
        for finding in irrelevant[scan]:
            for i in [i for i, d in left.items() if inside(d, finding)]:
                del left[i]
        for d in left.values():
            truth.append(0)
            score.append(d[4])
    hits = sum(truth)
    fpr, tpr, _ = roc_curve(truth, score)
    fps = fpr * (len(truth) - hits) / len(scans) if hits < len(truth) else np.zeros(len(fpr))
    values = np.interp(RATES, fps, tpr * hits / (hits + missed))
    return {"sensitivity": values.tolist(), "detected": hits, "falsePositives": len(truth) - hits}


def detections():
    rng = np.random.default_rng(2)
    cases = []
    for scans, digits in [(12, 1), (3, 6), (40, 2)]:
        names = [f"scan-{i}" for i in range(scans)]
        place = lambda size: [round(float(v), 3) for v in rng.random(3) * size]
        pick = lambda: names[int(rng.integers(scans))]
        lesions = [[pick(), *place(40), round(float(rng.uniform(4, 20)), 3)] for _ in range(2 * scans)]
        excluded = [[pick(), *place(40), float(rng.choice([-1.0, 15.0]))] for _ in range(3 * scans)]
        found = [[pick(), *place(40), round(float(rng.random()), digits)] for _ in range(12 * scans)]
        for a in lesions[:: 2]:  # some hit, twice, and with higher scores
            for _ in range(2):
                found.append([a[0], *(v + float(d) for v, d in zip(a[1:4], rng.normal(0, 1.5, 3).round(3))),
                              round(float(rng.uniform(0.4, 1)), digits)])
        cases.append({"scans": names, "detections": found, "lesions": lesions, "excluded": excluded}
                     | froc(names, found, lesions, excluded))
    return cases


def luna16(folder):
    lines = lambda name: (folder / name).read_text().split()
    scans, numbers = lines("seriesuids.csv"), [int(n) for n in lines("newseriesuids.csv")]
    name = dict(zip(numbers, scans))
    table = lambda file, tab: list(csv.reader(open(folder / file), delimiter="\t" if tab else ","))[1:]
    row = lambda r: (r[0], *map(float, r[1:5]))
    result = froc(scans, [row([name[int(r[0])], *r[1:]]) for r in table("dpn26bs32.csv", True)],
                  [row(r) for r in table("annotations.csv", False)], [row(r) for r in table("annotations_excluded.csv", False)])
    return {"about": "DeepLung's 3D DPN on LUNA16; numbers[i] is the submission's name of the i-th series"} | result | {"numbers": numbers}


# ---- masks -----------------------------------------------------------------------------------------------------
def surface(mask, reference, spacing):
    edge = lambda m: np.argwhere(m ^ ndimage.binary_erosion(m)) * np.asarray(spacing)
    return spatial.cKDTree(edge(reference)).query(edge(mask))[0]


def masks():
    rng = np.random.default_rng(3)
    cases = []
    blob = lambda shape, s: ndimage.gaussian_filter(rng.normal(size=shape), s)
    settings = [  # shape z, y, x; spacing x, y, z; smoothness; tolerance
        ((9, 12, 14), (1, 1, 1), 1.5, 1), ((7, 15, 11), (0.7, 0.7, 2.5), 1.5, 1), ((10, 8, 13), (0.1, 0.2, 0.3), 1, 0.3),
        ((1, 20, 20), (0.5, 0.75, 5), 2, 1.5), ((12, 12, 12), (2, 1.25, 0.8), 0, 2), ((6, 6, 6), (1, 1, 1), None, 1),
        ((6, 6, 6), (1, 1, 1), "prediction", 1), ((6, 6, 6), (1, 1, 1), "reference", 1),
    ]
    for shape, spacing, kind, tolerance in settings:
        spacing = tuple(map(float, spacing))
        probability, reference = np.zeros(shape, int), np.zeros(shape, bool)
        if not isinstance(kind, str) and kind is not None:
            base = blob(shape, kind)
            reference = base > np.quantile(base, 0.7)
            noisy = base + 0.5 * blob(shape, kind)
            probability = np.clip(50 + 45 * (noisy - np.quantile(noisy, 0.7)) / noisy.std(), 0, 100).round().astype(int)
        elif kind:
            (probability if kind == "reference" else reference)[2:4, 1:4, 2:5] = 80 if kind == "reference" else 1
        p = (probability / 100).astype(np.float32)
        y, half = reference.ravel(), p.ravel() > np.float32(0.5)
        pair = [torch.from_numpy(m[None, None].astype(np.float32)) for m in (p > np.float32(0.5), reference)]
        options = dict(include_background=True, spacing=spacing[::-1])
        hausdorff = plain(compute_hausdorff_distance(*pair, percentile=95, **options).item())
        dice = plain(compute_surface_dice(*pair, class_thresholds=[tolerance], **options).item())
        if hausdorff is not None:  # MONAI rounds to float32: the same again in float64
            both = [surface(a, b, spacing[::-1]) for a, b in [(p > np.float32(0.5), reference), (reference, p > np.float32(0.5))]]
            exact = max(np.quantile(d, 0.95) for d in both)
            share = np.mean(np.concatenate(both).astype(np.float32) <= np.float32(tolerance))
            assert abs(exact - hausdorff) <= 1e-6 * exact and abs(share - dice) < 1e-6
            hausdorff, dice = exact, share
        values = {"hausdorff95_mm": hausdorff, "surface_dice": dice}
        loss = DiceLoss(smooth_nr=1, smooth_dr=1)(*(torch.from_numpy(m[None, None].astype(np.float64)) for m in (p, reference)))
        values["soft_dice"] = 1 - loss.item()
        if y.any() or half.any():
            two = lambda t: jaccard_score(y, p.ravel() > np.float32(t), average=None, labels=[0, 1])
            values |= {"iou_fg@0.5": jaccard_score(y, half), "dice@0.5": f1_score(y, half), "iou2@0.5": two(0.5).mean(),
                       "miou_genesis": np.mean([two(t).mean() for t in np.arange(0.5, 1, 0.05)])}
            if not y.any():  # the foreground is in neither mask at thresholds of 0.8 and above: it does not count
                values["miou_genesis"] = np.mean([1.0 if t > 0.79 else two(t).mean() for t in np.arange(0.5, 1, 0.05)])
        else:  # MONAI's smoothing makes it 1, but a class that is in neither mask has no overlap
            values["soft_dice"] = None
        cases.append({"size": shape[::-1], "spacing": spacing, "tolerance": tolerance,
                      "percent": probability.ravel().tolist(), "reference": "".join(map(str, y.astype(int))), "values": values})
    return cases


# ---- statistics --------------------------------------------------------------------------------------------------
def statistics():
    rng = np.random.default_rng(4)
    cases = []
    for n, m, digits in [(10, 10, 4), (5, 7, 3), (3, 3, 5), (12, 12, 1), (50, 31, 6), (300, 300, 2)]:
        a, b = rng.normal(0.85, 0.05, n).round(digits), rng.normal(0.82, 0.09, m).round(digits)
        welch = stats.ttest_ind(a, b, equal_var=False)
        case = {"a": a.tolist(), "b": b.tolist(), "welch": [welch.statistic, welch.pvalue, welch.df]}
        if n == m:
            t, d = stats.ttest_rel(a, b), (a - b)
            # Whole numbers of the last digit: differences that are equal are then equal in binary too.
            whole = [(v * 10**digits).round().tolist() for v in (a, b)]
            w = stats.wilcoxon(*whole, correction=False, method="asymptotic" if n > 200 else stats.PermutationMethod(n_resamples=np.inf)
                               if n <= 13 else "exact")
            case |= {"paired": [t.statistic, t.pvalue, t.df], "whole": whole, "wilcoxon": [w.statistic, w.pvalue]}
        cases.append(case)
    d = rng.permutation(np.arange(1, 61)) * rng.choice([-1, 1], 60, p=[0.35, 0.65])  # no ties: SciPy's exact distribution
    w = stats.wilcoxon(d, method="exact")
    p = [0.01, 0.04, 0.03, 0.005, 0.5, 0.9, 0.03]
    z = [0, 0.1, 0.674, 1.96, 2.9999, 3.0001, 5, 9, 30]
    return {"cases": cases, "exact": {"differences": d.tolist(), "wilcoxon": [w.statistic, w.pvalue]},
            "holm": {"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()},
            "normalTails": {"z": z, "p": (2 * stats.norm.sf(z)).tolist()}}


if __name__ == "__main__":
    content = {"scores": scores(), "detections": detections(), "masks": masks(), "statistics": statistics()}
    (HERE / "metrics.json").write_text(json.dumps(content, default=float))
    if len(sys.argv) > 1:
        (HERE / "luna16.json").write_text(json.dumps(luna16(Path(sys.argv[1]))))
