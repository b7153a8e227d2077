# Source this in bash: the workspace's Python, ROS 2 and built packages, for this shell alone.
# With the argument "underlay": without the built packages, which is what a build needs.
_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
if [ ! -e "$_root/.venv/ros" ]; then
  echo "The workspace is not made yet: run scripts/setup (or make setup)." >&2
  return 1
fi
_ros="$(cat "$_root/.venv/ros")"
if [ "$_ros" = wheels ]; then
  # Traces of another ROS or workspace in this shell would be mixed with these libraries.
  unset PYTHONPATH COLCON_PREFIX_PATH ROS_DISTRO _ROS_WHEELS_BOOTSTRAP_COMPLETE
  _kept=
  while IFS= read -r -d : _directory; do
    [ -z "$_directory" ] || [ -e "$_directory/../share/ament_index" ] || _kept+=":$_directory"
  done <<< "${LD_LIBRARY_PATH:-}:"
  export LD_LIBRARY_PATH="${_kept#:}"
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
unset _root _ros _kept _directory
