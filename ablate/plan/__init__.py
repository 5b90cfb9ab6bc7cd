"""From a command line to a plan: arguments, configuration files, composition, twins, forecast."""
