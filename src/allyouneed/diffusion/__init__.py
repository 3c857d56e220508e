"""Diffusion: noise schedules, the process, samplers that take any callable, the bound, and data with exact answers."""

from allyouneed.diffusion.bound import Bound as Bound
from allyouneed.diffusion.bound import Density as Density
from allyouneed.diffusion.bound import Discretised as Discretised
from allyouneed.diffusion.bound import bound_terms as bound_terms
from allyouneed.diffusion.ddim import DDIM as DDIM
from allyouneed.diffusion.ddpm import Ancestral as Ancestral
from allyouneed.diffusion.frechet import frechet_distance as frechet_distance
from allyouneed.diffusion.mixtures import GaussianMixture as GaussianMixture
from allyouneed.diffusion.objectives import Simple as Simple
from allyouneed.diffusion.objectives import TrueBound as TrueBound
from allyouneed.diffusion.process import PredictMean as PredictMean
from allyouneed.diffusion.process import PredictNoise as PredictNoise
from allyouneed.diffusion.process import PredictX0 as PredictX0
from allyouneed.diffusion.process import Process as Process
from allyouneed.diffusion.process import add_noise as add_noise
from allyouneed.diffusion.process import fixed_large as fixed_large
from allyouneed.diffusion.process import fixed_small as fixed_small
from allyouneed.diffusion.sampling import Stage as Stage
from allyouneed.diffusion.sampling import sample as sample
from allyouneed.diffusion.sampling import trajectory as trajectory
from allyouneed.diffusion.schedules import Cosine as Cosine
from allyouneed.diffusion.schedules import Linear as Linear
from allyouneed.diffusion.schedules import Listed as Listed
from allyouneed.diffusion.schedules import NoiseSchedule as NoiseSchedule
from allyouneed.diffusion.timesteps import SPACINGS as SPACINGS
