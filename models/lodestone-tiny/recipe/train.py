"""Training from the answers themselves: a new model, or one that goes on from --init. Run again with the same --out to resume.

The learning rate warms up, stays, and falls linearly over the last 60 % of the time; see loop.py.
"""
import loop


def main():
    ap = loop.arguments(__doc__, "work/run")
    ap.add_argument("--embedding", default="work/embedding.pt", help="first values of the embedding, from embeddings.py")
    ap.add_argument("--init", help="first weights instead, from transplant.py or a checkpoint; only the last stage is gone through")
    a = ap.parse_args()
    loop.prepare(a)
    stages = loop.curriculum(a)
    loop.run(a, loop.fresh(a), loop.answer_loss, stages, stage=len(stages) - 1 if a.init else 0)


if __name__ == "__main__":
    main()
