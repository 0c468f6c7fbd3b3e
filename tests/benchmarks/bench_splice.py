"""Time SpLiCE's lasso against scikit-learn's on 1,000 embeddings × 10,000 concepts × 512 dimensions.

Run from the repository: ``python tests/benchmarks/bench_splice.py``. The concepts come in clusters, as words of like
meaning do; an embedding is a sum of twelve of them and noise. scikit-learn's `Lasso(positive=True)` runs with its own
defaults, on some of the embeddings; its objective is compared after it has also been run to a much smaller tolerance,
because its default one alone would allow a difference above 1e-4. Both run on one thread (scikit-learn's solver knows
no more) and are timed in seconds of the processor, which other programs disturb less. Targets: ratio of the throughputs
5, difference 1e-4.
"""

import argparse
import time

import numpy as np
import torch
from sklearn.linear_model import Lasso

from crosseyed.internals.lasso import nonnegative_lasso

N_EMBEDDINGS, N_CONCEPTS, WIDTH = 1_000, 10_000, 512
N_CLUSTERS, N_USED, NOISE = 500, 12, 0.7
PENALTIES = (0.2, 0.1, 0.05)


def unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows to length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make_problem(spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings and concepts, float32; concepts of a cluster are the more alike the smaller the spread."""
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(N_CLUSTERS, WIDTH))[rng.integers(N_CLUSTERS, size=N_CONCEPTS)]
    concepts = unit(middles + spread * rng.normal(size=(N_CONCEPTS, WIDTH)))
    weights = np.zeros((N_EMBEDDINGS, N_CONCEPTS))
    for row in weights:
        row[rng.choice(N_CONCEPTS, N_USED, replace=False)] = rng.random(N_USED)
    noise = NOISE * rng.normal(size=(N_EMBEDDINGS, WIDTH)) / np.sqrt(WIDTH)
    return unit(unit(weights @ concepts) + noise).astype(np.float32), concepts.astype(np.float32)


def objective(
    embeddings: np.ndarray, concepts: np.ndarray, weights: np.ndarray, penalty: float
) -> np.ndarray:
    """Return the objective of each embedding, computed in double precision."""
    residuals = embeddings - weights.astype(np.float64) @ concepts
    return np.square(residuals).sum(axis=1) / 2 + penalty * weights.sum(axis=1)


def scikit_learn(
    embeddings: np.ndarray, concepts: np.ndarray, penalty: float, **options: float
) -> np.ndarray:
    """Return scikit-learn's weights."""
    model = Lasso(alpha=penalty / WIDTH, positive=True, fit_intercept=False, **options)
    return np.array([model.fit(concepts.T, embedding).coef_ for embedding in embeddings])


def main() -> None:
    """Print throughputs, their ratio and the largest relative difference of the objective."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=int, default=10, help="embeddings that scikit-learn is given")
    n_reference = parser.parse_args().reference
    torch.set_num_threads(1)
    print(
        f"{N_EMBEDDINGS} embeddings × {N_CONCEPTS} concepts × {WIDTH} dimensions; embeddings per second of one core"
    )
    for spread in (1.0, 0.3):
        embeddings, concepts = make_problem(spread)
        part = embeddings[:n_reference]
        for penalty in PENALTIES:
            start = time.process_time()
            weights = nonnegative_lasso(embeddings, concepts, penalty)
            ours = N_EMBEDDINGS / (time.process_time() - start)
            start = time.process_time()
            scikit_learn(part, concepts, penalty)
            theirs = n_reference / (time.process_time() - start)
            exact = scikit_learn(
                part.astype(np.float64), concepts.astype(np.float64), penalty, tol=1e-8, max_iter=100_000
            )
            best = objective(part, concepts, exact, penalty)
            value = objective(part, concepts, weights[:n_reference].toarray(), penalty)
            print(
                f"spread {spread}, penalty {penalty:4}: crosseyed {ours:7.1f}, scikit-learn {theirs:5.1f}, "
                f"ratio {ours / theirs:6.1f}; {weights.nnz / N_EMBEDDINGS:5.1f} concepts an embedding; largest "
                f"relative difference of the objective {np.abs(value / best - 1).max():.1e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
