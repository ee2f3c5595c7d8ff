"""What bench.sh has measured, from its bench.json, and the statistics of it."""

import json
import math
import statistics

REFERENCE = "ext4"
CONFIDENCE = 0.9


def interval(numbers):
    """The narrowest two samples, equally far from both ends in order, between which the median lies with CONFIDENCE.

    Assumes nothing of how the samples are distributed: each lies below the median with probability 1/2. None if there are
    too few samples: fewer than 5.
    """
    ordered = sorted(numbers)
    count = len(ordered)
    outside = 0.0  # the probability that the median lies below the sample `skipped`, or above its counterpart
    best = None
    for skipped in range((count + 1) // 2):
        outside += 2 * math.comb(count, skipped) / 2**count
        if outside > 1 - CONFIDENCE:
            break
        best = ordered[skipped], ordered[count - 1 - skipped]
    return best


class Estimate:
    """The median of some samples, and where it lies: `low` to `high` is an interval, or all samples if there are too few."""

    def __init__(self, numbers):
        self.median = statistics.median(numbers)
        found = interval(numbers)
        self.has_interval = found is not None
        self.low, self.high = found or (min(numbers), max(numbers))

    def is_within(self, percent):
        return self.has_interval and self.high - self.low <= abs(self.median) * percent / 100


class Results:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        self.about = document["about"]
        self.rows = document["rows"]
        self.extras = document["extras"]
        self.contenders = self.about["contenders"]
        self._samples = {}
        for sample in document["samples"]:
            self._samples.setdefault((sample["row"], sample["contender"]), {})[sample["round"]] = sample

    def samples(self, row, contender, column):
        """By round. `column` is "value" or "cpu_us"."""
        found = self._samples.get((row["name"], contender), {})
        return {number: sample[column] for number, sample in found.items() if sample[column] is not None}

    def absolute(self, row, contender, column="value"):
        """An Estimate, or None if there are no samples."""
        numbers = self.samples(row, contender, column)
        return Estimate(list(numbers.values())) if numbers else None

    def ratio(self, row, contender, column="value"):
        """An Estimate of the ratio to the reference in the same round, or None if there is no such ratio."""
        if row["unit"] == "bytes":
            return None
        reference = self.samples(row, REFERENCE, column)
        ratios = [
            number / reference[of_round]
            for of_round, number in self.samples(row, contender, column).items()
            if reference.get(of_round)
        ]
        return Estimate(ratios) if ratios else None

    def is_settled(self, row, contender):
        ratio = self.ratio(row, contender)
        return ratio is None or ratio.is_within(self.about["within"])
