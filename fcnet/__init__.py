"""A modular fully connected network: layers, losses, update rules and a solver.

Every backward pass is written by hand beside its equation. Data sets are in
`fcnet.datasets`, which is imported on its own.
"""

from fcnet.errors import DatasetError, Diverged
from fcnet.fully_connected_net import FullyConnectedNet
from fcnet.generators import Stream, make_generator
from fcnet.gradient_check import numeric_gradient, relative_error
from fcnet.layers import Dropout, Linear, Linear_ReLU, ReLU
from fcnet.losses import l2_loss, softmax_loss, svm_loss
from fcnet.minibatches import Minibatches
from fcnet.pack import Pack
from fcnet.preprocess import Preprocess
from fcnet.recipe import create_solver_instance
from fcnet.schedules import SCHEDULES, Schedule, make_schedule
from fcnet.solver import Solver
from fcnet.two_layer_net import TwoLayerNet
from fcnet.update_rules import UPDATE_RULES, adam, rmsprop, sgd, sgd_momentum

__all__ = [
    "SCHEDULES",
    "UPDATE_RULES",
    "DatasetError",
    "Diverged",
    "Dropout",
    "FullyConnectedNet",
    "Linear",
    "Linear_ReLU",
    "Minibatches",
    "Pack",
    "Preprocess",
    "ReLU",
    "Schedule",
    "Solver",
    "Stream",
    "TwoLayerNet",
    "adam",
    "create_solver_instance",
    "l2_loss",
    "make_generator",
    "make_schedule",
    "numeric_gradient",
    "relative_error",
    "rmsprop",
    "sgd",
    "sgd_momentum",
    "softmax_loss",
    "svm_loss",
]
