"""Print the figures of a task's data card: counts, tags, the majority class, phrase frames, overlap, and what a linear model reaches.

    python -m training.data_card

The linear model is TF-IDF over word 1-2-grams and character 2-5-grams with logistic regression (scikit-learn), fitted on the rows that
carry a reference and scored on the held-out rows: the bar that a teacher has to clear.
"""

from __future__ import annotations

import json
import re
from collections import Counter

from pytest_distill import Example
from tasks.retrieval_routing import retrieval_routing
from training.finetune import learned_rows


def text(example: Example) -> str:
    """Return context and question as one line."""
    context = example.fields.get("conversation_context", "")
    return f"{context} >>> {example.fields['question']}" if context else example.fields["question"]


def frames(examples: list[Example], words: int = 3) -> Counter[str]:
    """Return how often each opening of `words` words begins a question."""
    return Counter(" ".join(re.findall(r"[\w']+", example.fields["question"].lower())[:words]) for example in examples)


def closest(train: list[Example], heldout: list[Example]) -> list[float]:
    """Return for each held-out row the largest Jaccard overlap of its words with a training row (1.0 is the same words)."""
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(binary=True, token_pattern=r"\w+").fit(map(text, [*train, *heldout]))
    ours, theirs = vectorizer.transform(map(text, train)), vectorizer.transform(map(text, heldout))
    sizes = ours.sum(axis=1).A1
    found = []
    for row in theirs:
        shared = (ours @ row.T).toarray().ravel()
        found.append(float((shared / (sizes + row.nnz - shared)).max()))
    return found


def linear_accuracy(train: list[Example], heldout: list[Example]) -> float:
    """Return the held-out accuracy of TF-IDF and logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )
    model = make_pipeline(features, LogisticRegression(C=10, max_iter=1000))
    model.fit(list(map(text, train)), [example.expected for example in train])
    return float(model.score(list(map(text, heldout)), [example.expected for example in heldout]))


def main() -> None:
    train, heldout = retrieval_routing.train_examples, retrieval_routing.heldout_examples
    gold = [example for example in learned_rows(retrieval_routing) if example.expected is not None]
    near = closest([*train, *gold], heldout)
    for name, rows in (("heldout", heldout), ("train", train), ("reference rows of the teacher", gold)):
        labels = Counter(str(example.expected) for example in rows)
        opening, count = frames(rows).most_common(1)[0]
        print(
            json.dumps(
                {
                    "split": name,
                    "rows": len(rows),
                    "labels": dict(sorted(labels.items())),
                    "majority": round(max(labels.values()) / len(rows), 4),
                    "tags": dict(sorted(Counter(tag for example in rows for tag in example.tags).items())),
                    "commonest opening": f"{opening} ({count / len(rows):.2%})",
                }
            )
        )
    print(json.dumps({"largest word overlap of a held-out row with a training row": round(max(near), 3)}))
    print(json.dumps({"tfidf and logistic regression, held-out accuracy": round(linear_accuracy(gold, heldout), 4)}))


if __name__ == "__main__":
    main()
