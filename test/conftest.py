"""Keeps the tests away from everything else on the machine and in the network."""

import importlib
import logging
import os
import random
from contextlib import suppress

# Before anything imports rclpy. Above 101 a domain's ports are those that Linux hands out freely.
os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(1, 101))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"
# The models are small: on few cores, threads of several processes would only await each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in ("ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS", "ROS_NAMESPACE"):
    os.environ.pop(name, None)
# launch, which pytest loads as a plugin where ROS is installed, makes all loggers from then on such
# that pass nothing on to those above them.
with suppress(ImportError):
    importlib.import_module("launch.logging")
logging.setLoggerClass(logging.Logger)
