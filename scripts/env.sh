# Source this in bash: the workspace's Python, ROS 2 and built packages, for this shell alone.
# With the argument "underlay": without the built packages, which is what a build needs.
_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
if [ ! -e "$_root/.venv/ros" ]; then
  echo "The workspace is not made yet: run scripts/setup (or make setup)." >&2
  return 1
fi
_ros="$(cat "$_root/.venv/ros")"
if [ "$_ros" = wheels ]; then
  # Traces of another ROS in this shell would be mixed with the wheels' own libraries.
  unset PYTHONPATH COLCON_PREFIX_PATH ROS_DISTRO
  LD_LIBRARY_PATH="$(printf %s "${LD_LIBRARY_PATH:-}" | tr : '\n' | grep -v ^/opt/ros/ | paste -sd:)"
  [ -n "$LD_LIBRARY_PATH" ] || unset LD_LIBRARY_PATH
  export AMENT_PREFIX_PATH="$_root/.venv" CMAKE_PREFIX_PATH="$_root/.venv"
elif [ -z "${AMENT_PREFIX_PATH:-}" ]; then
  . "$_ros/setup.bash"
fi
. "$_root/.venv/bin/activate"
if [ "${1:-}" != underlay ]; then
  . "$_root/install/setup.bash"
  export PYTHONPATH="$_root/.venv/source:$PYTHONPATH"
fi
# What nodes and matplotlib would write to the home directory.
export ROS_LOG_DIR="${ROS_LOG_DIR:-$_root/log/ros}"
export MPLCONFIGDIR="${MPLCONFIGDIR:-$_root/.venv/matplotlib}"
unset _root _ros
