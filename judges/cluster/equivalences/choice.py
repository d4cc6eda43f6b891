"""Opens the equivalence that the flags choose."""

from console.ranges import check_ranges
from engines.options import EngineOptions, open_engine
from judges.cluster.equivalence import Equivalence
from judges.cluster.equivalences.embedding import open_embedding
from judges.cluster.equivalences.nli import open_nli
from judges.cluster.equivalences.options import EquivalenceOptions
from judges.cluster.equivalences.same_meaning import SameMeaning
from judges.cluster.equivalences.texts import exact, final_answer


def open_equivalence(options: EquivalenceOptions, engine: EngineOptions) -> Equivalence:
    """Return the equivalence that `options` choose, its model loaded. Raises InputError or EngineError.

    `engine` names the judge (judge) and the batch size (nli, embedding).
    """
    check_ranges(options)
    match options.equivalence:
        case "embedding":
            return open_embedding(options.embedding_model, options.threshold, engine.batch_size)
        case "nli":
            return open_nli(options.nli_model, options.nli_rule, engine.batch_size)
        case "judge":
            return SameMeaning(open_engine(engine))
        case "final_answer":
            return final_answer()
        case "exact":
            return exact()
