"""How the weights of nets side by side move, each with its own settings, in one go.

Letters: P lanes, N examples of a minibatch, D inputs of an example, S hidden units of
all lanes, C classes.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from fcnet.lane_nets import Gradients, LaneNets
from fcnet.lane_rows import LaneRows
from fcnet.update_rules import Config, UpdateRule, complete_config

# The scale never gets below this: far from the ends of every floating dtype.
LEAST_SCALE = 2.0**-10
# Weights that decay faster than this in a step are not worth a scale.
LEAST_KEEP = 0.5

ParamConfigs = Mapping[str, Config]


class Update(Protocol):
    """Moves the weights of a LaneNets along their gradients."""

    def load(self, configs: Sequence[ParamConfigs]) -> None:
        """Take the configs of each lane, by parameter; the weights are loaded."""

    def prepare(self) -> None:
        """Do what a step needs now and then, and what no graph can hold."""

    def move(self, x: Tensor, gradients: Gradients) -> None:
        """Make one update, at fixed addresses, without a wait; gradients are lost."""

    def configs(self, lane: int, steps: int) -> ParamConfigs:
        """Return copies of a lane's configs after so many steps, at least one."""


def keeps_scale(learning_rate: float, reg: float) -> bool:
    """Whether ScaledSgd is meant for a learning rate and a strength of the L2 term."""
    return LEAST_KEEP <= 1 - 2 * learning_rate * reg <= 1


class ScaledSgd:
    """Plain sgd: the update of the first layer is the matrix product of its gradient.

    The L2 term would shrink all weights in every step, in a pass over them. Instead
    they are kept as `scale * W1` and the scale shrinks (Shalev-Shwartz et al., Pegasos,
    2011, section 2.4; Bottou, Stochastic Gradient Descent Tricks, 2012, section 5.1):

        scale' = (1 - 2 lr reg) scale,  W1' = W1 - lr / scale' dW1
    """

    def __init__(self, nets: LaneNets, rows: LaneRows) -> None:
        """Take the nets whose weights are to move."""
        self._nets, self._rows = nets, rows
        self._rates = {k: _column(w) for k, w in nets.params.items()}
        self._keep = {k: _column(nets.params[k]) for k in ("W1", "W2")}
        self._scaled_rates = _column(nets.params["W1"])
        self._least_keep = self._least_scale = 1.0
        self._configs: Sequence[ParamConfigs] = ()

    def load(self, configs: Sequence[ParamConfigs]) -> None:
        """Take the learning rates of each lane."""
        self._configs = configs
        for lane, by_name in enumerate(configs):
            for name, rates in self._rates.items():
                rate = by_name[name]["learning_rate"]
                self._rows.write(name, rates, lane, rate)
        for name, keep in self._keep.items():
            decay = self._rates[name] * self._rows.spread(self._nets.reg)
            torch.sub(1, decay, alpha=2, out=keep)
        self._nets.scale.fill_(1)
        self._least_keep, self._least_scale = float(self._keep["W1"].min()), 1.0

    def prepare(self) -> None:
        """Put the scale back into the weights before it gets too small."""
        if self._least_scale * self._least_keep < LEAST_SCALE:
            self._nets.params["W1"].mul_(self._nets.scale)
            self._nets.scale.fill_(1)
            self._least_scale = 1.0
        self._least_scale *= self._least_keep

    def move(self, x: Tensor, gradients: Gradients) -> None:
        """Make one update on inputs x (N, D)."""
        w1, b1, w2, b2 = (self._nets.params[name] for name in ("W1", "b1", "W2", "b2"))
        rates, scale, share = self._rates, self._nets.scale, -1 / len(x)
        # w - lr (dw + 2 reg w) = (1 - 2 lr reg) w - lr dw, lr the learning rate
        w2.mul_(self._keep["W2"]).addcmul_(rates["W2"], gradients.W2, value=share)
        b2.addcmul_(rates["b2"], gradients.b2, value=share)
        db1 = gradients.hidden.sum(dim=1, keepdim=True)
        b1.addcmul_(rates["b1"], db1, value=share)
        scale.mul_(self._keep["W1"])
        torch.div(rates["W1"], scale, out=self._scaled_rates)
        w1.addmm_(gradients.hidden.mul_(self._scaled_rates), x, alpha=share)

    def configs(self, lane: int, steps: int) -> ParamConfigs:
        """Return a lane's configs, in which sgd changes nothing."""
        return self._configs[lane]


class RuleUpdate:
    """Any rule of UPDATE_RULES, on the weights of all lanes at once."""

    def __init__(self, nets: LaneNets, rows: LaneRows, update_rule: UpdateRule) -> None:
        """Take the nets whose weights are to move, and the rule."""
        self._nets, self._rows, self._update_rule = nets, rows, update_rule
        self._dw1 = torch.empty_like(nets.params["W1"])
        self._twice_reg = {k: _column(nets.params[k]) for k in ("W1", "W2")}
        self._entries: dict[str, dict[str, Tensor]] = {
            name: {
                entry: value if isinstance(value, Tensor) else _column(w)
                for entry, value in complete_config(update_rule, {}, w).items()
            }
            for name, w in nets.params.items()
        }
        self._configs: Sequence[ParamConfigs] = ()

    def load(self, configs: Sequence[ParamConfigs]) -> None:
        """Take the settings and the state of each lane."""
        self._configs = configs
        for twice_reg in self._twice_reg.values():
            twice_reg.copy_(2 * self._rows.spread(self._nets.reg))
        for lane, by_name in enumerate(configs):
            for name, entries in self._entries.items():
                w = self._rows.lane(name, self._nets.params[name], lane)
                config = complete_config(self._update_rule, by_name[name], w)
                for entry, rows in entries.items():
                    self._rows.write(name, rows, lane, config[entry])

    def prepare(self) -> None:
        """Do nothing: no scale is used."""

    def move(self, x: Tensor, gradients: Gradients) -> None:
        """Make one update on inputs x (N, D)."""
        hidden, dw2, db2 = (tensor.div_(len(x)) for tensor in gradients)
        grads = {
            "W1": torch.mm(hidden, x, out=self._dw1),
            "b1": hidden.sum(dim=1, keepdim=True),
            "W2": dw2,
            "b2": db2,
        }
        for name, w in self._nets.params.items():
            dw, entries = grads[name], self._entries[name]
            if name in self._twice_reg:
                dw.addcmul_(w, self._twice_reg[name])  # d/dw reg sum w^2 = 2 reg w
            moved, config = self._update_rule(w, dw, entries)
            w.copy_(moved)
            for entry, rows in entries.items():
                value = config[entry]
                if isinstance(value, Tensor) and value is not rows:
                    rows.copy_(value)

    def configs(self, lane: int, steps: int) -> ParamConfigs:
        """Return copies of a lane's configs after so many steps, at least one."""
        after: dict[str, Config] = {}
        for name, entries in self._entries.items():
            w = self._rows.lane(name, self._nets.params[name], lane)
            before = self._configs[lane][name]
            config = complete_config(self._update_rule, before, w)
            for entry, rows in entries.items():
                if isinstance(config[entry], Tensor):
                    config[entry] = self._rows.lane(name, rows, lane).clone()
            if "t" in config:  # Adam's: the one number that a step changes
                config["t"] += steps
            after[name] = config
        return after


def _column(w: Tensor) -> Tensor:
    """Make room for a number for each row of w."""
    return w.new_zeros(len(w), 1)
