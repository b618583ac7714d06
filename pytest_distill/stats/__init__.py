"""Exact tests, bounds and a planner for comparing two models, on numbers alone (standard library only).

For `n` paired examples, `b` counts those that only the first model got right (lost by the second), `c` those that only the second
got right (gained); the drop is (b - c) / n. A p value is small when the claim in its function's name is shown. All probabilities are
one-sided, and all functions are pure.
"""

from pytest_distill.stats.binomial import ALPHA as ALPHA
from pytest_distill.stats.binomial import binomial_cdf as binomial_cdf
from pytest_distill.stats.binomial import fewest_for_percentile as fewest_for_percentile
from pytest_distill.stats.binomial import fewest_for_rate as fewest_for_rate
from pytest_distill.stats.binomial import median_bound as median_bound
from pytest_distill.stats.binomial import percentile_bound as percentile_bound
from pytest_distill.stats.binomial import rate_bound as rate_bound
from pytest_distill.stats.binomial import rate_p as rate_p
from pytest_distill.stats.binomial import rate_p_refuted as rate_p_refuted
from pytest_distill.stats.binomial import sign_p as sign_p
from pytest_distill.stats.f1 import f1_drop as f1_drop
from pytest_distill.stats.f1 import f1_drop_bound as f1_drop_bound
from pytest_distill.stats.f1 import f1_drop_p as f1_drop_p
from pytest_distill.stats.f1 import f1_drop_p_refuted as f1_drop_p_refuted
from pytest_distill.stats.f1 import macro_f1 as macro_f1
from pytest_distill.stats.many import holm as holm
from pytest_distill.stats.many import kappa as kappa
from pytest_distill.stats.many import next_seed_bound as next_seed_bound
from pytest_distill.stats.many import t_quantile as t_quantile
from pytest_distill.stats.mean import audit_bound as audit_bound
from pytest_distill.stats.mean import audit_p as audit_p
from pytest_distill.stats.mean import gaffke_bound as gaffke_bound
from pytest_distill.stats.mean import gaffke_p as gaffke_p
from pytest_distill.stats.mean import retained_bound as retained_bound
from pytest_distill.stats.mean import retained_p as retained_p
from pytest_distill.stats.mean import retained_p_refuted as retained_p_refuted
from pytest_distill.stats.paired import drop_bound as drop_bound
from pytest_distill.stats.paired import drop_chances as drop_chances
from pytest_distill.stats.paired import drop_p as drop_p
from pytest_distill.stats.paired import drop_p_refuted as drop_p_refuted
from pytest_distill.stats.paired import drop_regions as drop_regions
from pytest_distill.stats.paired import tango_score as tango_score
from pytest_distill.stats.planner import examples_for_power as examples_for_power
from pytest_distill.stats.planner import fewest_examples as fewest_examples
from pytest_distill.stats.planner import formula_for_power as formula_for_power
