"""Programs that start the nodes where ROS comes without launch."""
