"""Installs the Python package without CMake; everything but the version stands in setup.cfg."""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import setup

setup(version=ElementTree.parse(Path(__file__).with_name("package.xml")).findtext("version"))
