"""Boxes that overlap."""

import numpy as np

from ._registry import evaluates


def _corners(call, boxes):
    """Return boxes (..., 4) as two corners, the one with the smaller coordinates first."""
    if call.attribute("center_point_box", 0):
        centre, half = boxes[..., :2], boxes[..., 2:] / 2
        return np.concatenate([centre - half, centre + half], -1)
    first, second = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], -1)


def _overlaps(box, boxes):
    """Return intersection over union of a box with boxes."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = sides.clip(0).prod(-1)
    union = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(-1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def suppress(boxes, scores, limit, max_overlap):
    """Return indices of at most `limit` boxes (corners), best first, no two of which overlap by more than `max_overlap`."""
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order) and len(kept) < limit:
        best, order = order[0], order[1:]
        kept.append(int(best))
        order = order[_overlaps(boxes[best], boxes[order]) <= max_overlap]
    return kept


@evaluates("NonMaxSuppression", dynamic=True)
def non_max_suppression(call, boxes, scores, limit=None, max_overlap=None, min_score=None):
    limit = 0 if limit is None else int(limit.item())
    max_overlap = 0.0 if max_overlap is None else max_overlap.item()
    corners = _corners(call, boxes)
    chosen = []
    for image, classes in enumerate(scores):
        for kind, found in enumerate(classes):
            high = np.arange(found.size) if min_score is None else np.flatnonzero(found > min_score.item())
            kept = suppress(corners[image][high], found[high], limit, max_overlap)
            chosen += [(image, kind, int(high[i])) for i in kept]
    return np.array(chosen, np.int64).reshape(-1, 3)
