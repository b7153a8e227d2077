"""The ROS 2 rim: nodes, parameters, messages, threads and processes."""
