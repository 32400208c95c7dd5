"""The composition root. Only here and in the commands settings are read."""

from mailstack.app.appliance import Appliance
from mailstack.app.data import Data
from mailstack.app.serving import RESTART, RESTART_SIGNAL, serve
from mailstack.app.settings import Settings
from mailstack.app.surroundings import StartProblem, Surroundings

__all__ = ["RESTART", "RESTART_SIGNAL", "Appliance", "Data", "Settings", "StartProblem", "Surroundings", "serve"]
