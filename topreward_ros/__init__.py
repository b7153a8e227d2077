"""TOPReward for ROS 2: live progress, dense reward and success from a video-language model."""
