"""Opens the relation that the flags ask for."""

from typing import TYPE_CHECKING

from console.ranges import check_ranges
from judges.cluster.equivalences.options import EquivalenceOptions

if TYPE_CHECKING:
    from engines.options import EngineOptions
from judges.cluster.equivalence import Equivalence


def open_equivalence(options: EquivalenceOptions, engine: "EngineOptions") -> Equivalence:
    """Return the relation that `options` name, its model loaded; raises InputError or EngineError.

    `engine` names the judge (judge) and the rows computed at once (nli, embedding).
    """
    check_ranges(options)
    match options.equivalence:
        case "embedding":
            from judges.cluster.equivalences.embedding import open_embedding

            return open_embedding(options.embedding_model, options.threshold, engine.batch_size)
        case "nli":
            from judges.cluster.equivalences.nli import open_nli

            return open_nli(options.nli_model, options.nli_rule, engine.batch_size)
        case "judge":
            from engines.options import open_engine
            from judges.cluster.equivalences.same_meaning import SameMeaning

            return SameMeaning(open_engine(engine))
        case "final_answer":
            from judges.cluster.equivalences.texts import final_answer

            return final_answer()
        case "exact":
            from judges.cluster.equivalences.texts import exact

            return exact()
