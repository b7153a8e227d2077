"""Stop actions over DDS: each kind, with refusals, absence, hanging, and names like e-stops."""

from __future__ import annotations

import sys
import time

import pytest
import stub_controllers
from controller_manager import ControllerManager
from lifecycle_msgs.srv import GetState
from manager_stack import ALWAYS, NEVER, TASK, hanging_trigger, managed
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from topreward_ros.nodes.lifecycle import TransitionRefused
from topreward_ros.nodes.manager.emergency_names import is_emergency_stop
from topreward_ros.nodes.manager.episode_manager import EpisodeManager
from topreward_ros.nodes.manager.patient_call import PatientCall
from topreward_ros.nodes.parameters import ParameterError
from topreward_ros.nodes.waiting import Waiting

ALL = ["success", "timeout", "stopped", "canceled"]
pytestmark = pytest.mark.usefixtures("context")


def action(name: str, **settings: object) -> dict[str, object]:
    return {f"{name}.{key}": value for key, value in settings.items()}


@pytest.fixture(scope="module")
def shared(model):
    """One manager with an action of each kind, all of them for different reasons."""
    actions = {
        "stop_actions": ["recorder", "hil", "record", "driver"],
        **action("recorder", type="trigger", target="/arm/stop_recording", retries=1, timeout=1.0),
        **action("hil", type="set_bool", target="/arm/end_episode", data=False),
        **action("record", type="string", target="/arm/record", values=["record", "save"]),
        **action("driver", type="lifecycle", target="reward_node", values=["deactivate"],
                 when=["canceled", "stopped"]),
    }  # fmt: skip
    with managed(model, instruction=TASK, manager=actions, success_threshold=NEVER) as stack:
        stack.robot.trigger("/arm/stop_recording")
        stack.robot.set_bool("/arm/end_episode")
        stack.robot.listen("/arm/record")
        yield stack


@pytest.fixture
def lab(shared):
    shared.wait(lambda: not shared.manager.control.busy)
    shared.set(success_threshold=NEVER)
    shared.robot.refusals = 0
    shared.robot.calls.clear()
    shared.linger(0.1)
    shared.told.clear()
    return shared


def test_success_runs_the_actions_in_their_order_and_tells_each_result(lab):
    lab.set(success_threshold=ALWAYS)
    _, result = lab.run_one()
    assert result.termination_reason == "success" and result.stop_actions_done
    lab.wait(lambda: len(lab.robot.calls) == 4)
    assert lab.robot.calls == [
        ("/arm/stop_recording", None),
        ("/arm/end_episode", False),
        ("/arm/record", "record"),
        ("/arm/record", "save"),
    ]
    lab.wait(lambda: len(lab.told) == 5)
    assert [event.event for event in lab.told] == ["started", "stopped", *["stop_action"] * 3]
    assert [e.detail.split()[0] for e in lab.happened("stop_action")] == [
        "recorder",
        "hil",
        "record",
    ]
    assert all("is done, attempt 1" in e.detail for e in lab.happened("stop_action"))


def test_actions_run_only_for_the_reasons_that_they_name(lab):
    handle = lab.goal()
    lab.cancel(handle)
    lab.result(handle)
    assert not lab.robot.calls
    lab.wait(lambda: lab.happened("stop_action"))
    (event,) = lab.happened("stop_action")
    assert event.detail.startswith("driver (lifecycle") and "is done" in event.detail


def test_a_stop_by_service_runs_all_actions_or_none_as_asked(lab):
    lab.begin()
    assert lab.stop_it(run_stop_actions=False).success
    assert not lab.happened("stop_action")
    lab.begin()
    assert lab.stop_it(run_stop_actions=True).success
    lab.wait(lambda: len(lab.happened("stop_action")) == 4)
    assert len(lab.robot.calls) == 4


def test_a_refusal_is_retried(lab):
    lab.robot.refusals = 1
    _, result = lab.run_one(time_limit=1.0)
    assert result.stop_actions_done
    lab.wait(lambda: lab.happened("stop_action"))
    assert "attempt 2" in lab.happened("stop_action")[0].detail


def test_what_is_not_stopped_is_said_loudly_and_the_next_actions_and_episodes_run(lab, capfd):
    lab.robot.refusals = 2  # one retry: both attempts of the recorder
    status = {}
    from diagnostic_msgs.msg import DiagnosticArray

    lab.node.create_subscription(
        DiagnosticArray,
        "/diagnostics",
        lambda m: status.update({s.name: s for s in m.status if s.level == s.ERROR}),
        10,
    )
    _, result = lab.run_one(time_limit=1.0)
    assert result.termination_reason == "timeout" and not result.stop_actions_done
    lab.wait(lambda: len(lab.happened("stop_action")) == 3)
    first, *others = lab.happened("stop_action")
    assert "FAILED after 2 attempt(s)" in first.detail and "'not now'" in first.detail
    assert all("is done" in other.detail for other in others)
    name = f"{lab.manager_name.lstrip('/')}: stop actions"
    lab.wait(lambda: name in status)
    assert status[name].message == "NOT STOPPED: recorder"
    assert "NOT STOPPED: recorder (trigger /arm/stop_recording)" in capfd.readouterr().err
    _, result = lab.run_one(time_limit=1.0)
    assert result.stop_actions_done


def test_absent_and_hanging_services_cost_their_timeouts_and_nothing_more(model):
    actions = {
        "stop_actions": ["absent", "hanging", "deaf", "there"],
        **action("absent", type="trigger", target="/gone/stop", timeout=0.3, retries=1),
        **action("hanging", type="trigger", target="/hanging/stop", timeout=0.3, retries=1),
        **action("deaf", type="string", target="/nobody", values=["save"], timeout=0.3, retries=0),
        **action("there", type="trigger", target="/there/stop"),
    }
    with managed(model, instruction=TASK, manager=actions) as lab:
        lab.robot.trigger("/there/stop")
        with hanging_trigger("/hanging/stop"):
            lab.wait(lambda: lab.manager.count_services("/hanging/stop") == 1)
            _, result = lab.run_one(time_limit=1.0)
        lab.wait(lambda: len(lab.happened("stop_action")) == 4)
        details = [event.detail for event in lab.happened("stop_action")]
        assert [" FAILED " in detail for detail in details] == [True, True, True, False]
        assert "the service was not there within 0.3 s" in details[0]
        assert "the service did not answer within 0.3 s" in details[1]
        assert "nobody listened" in details[2]
        assert not result.stop_actions_done
        assert lab.run_one(time_limit=1.0)[1].termination_reason == "timeout"


def test_a_service_that_takes_longer_than_the_timeout_is_called_once(model):
    """Called again, a recorder that has just stopped says that nothing is being recorded."""
    actions = {
        "stop_actions": ["slow", "slow_bool"],
        **action("slow", type="trigger", target="/slow/stop", timeout=0.5, retries=20),
        **action("slow_bool", type="set_bool", target="/slow/set", timeout=0.5, retries=20),
    }
    with managed(model, instruction=TASK, manager=actions) as lab:
        calls = []

        def serve(request, response):
            calls.append(request)
            time.sleep(1.5)
            response.success = len(calls) < 3
            response.message = "nothing is being recorded"
            return response

        lab.node.create_service(Trigger, "/slow/stop", serve)
        lab.node.create_service(SetBool, "/slow/set", serve)
        _, result = lab.run_one(time_limit=1.0)
        assert result.stop_actions_done
        lab.wait(lambda: len(lab.happened("stop_action")) == 2)
        assert all("is done, attempt" in event.detail for event in lab.happened("stop_action"))
        assert "attempt 1," not in lab.happened("stop_action")[0].detail
        assert [type(call).__module__ for call in calls] == [
            "std_srvs.srv._trigger",
            "std_srvs.srv._set_bool",
        ]


def test_a_service_that_was_lost_with_a_request_is_called_again():
    """Nobody is left to answer the first one."""

    class Client:
        ready = True
        calls = 0

        def service_is_ready(self):
            return self.ready

        def call_async(self, _):
            self.calls += 1
            return Future()

        def remove_pending_request(self, _):
            pass

    node = Node("caller", use_global_arguments=False)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    client = Client()
    call = PatientCall(client, None, Waiting(node))

    def ask() -> None:
        task = executor.create_task(call.answer(0.1))
        executor.spin_until_future_complete(task, timeout_sec=20.0)
        assert task.done() and task.result() is None

    ask()
    ask()
    assert client.calls == 1
    client.ready = False
    ask()
    client.ready = True
    ask()
    assert client.calls == 2
    executor.shutdown()
    node.destroy_node()


def test_a_new_episode_waits_until_the_stop_actions_of_the_last_are_done(model):
    actions = {
        "stop_actions": ["absent"],
        **action("absent", type="trigger", target="/gone/stop", timeout=1.0, retries=0,
                 when=["reset"]),
    }  # fmt: skip
    with managed(model, instruction=TASK, manager=actions) as lab:
        first = lab.begin()
        before = time.monotonic()
        second = lab.begin()
        assert time.monotonic() - before >= 1.0
        lab.wait(lambda: len(lab.told) == 4)
        assert [(e.event, e.episode_id) for e in lab.told] == [
            ("started", first.episode_id),
            ("stopped", first.episode_id),
            ("stop_action", first.episode_id),
            ("started", second.episode_id),
        ]


def test_a_lifecycle_action_whose_goal_is_reached_already_is_done(lab):
    lab.begin()
    lab.stop_it(run_stop_actions=True)
    lab.wait(lambda: len(lab.happened("stop_action")) == 4)
    assert "is done" in lab.happened("stop_action")[-1].detail
    state = lab.call(GetState, "get_state", GetState.Request()).current_state.label
    assert state == "inactive"


@pytest.fixture
def restarting(model):
    """A manager whose stop action starts the reward node's next episode, which runs by itself."""
    actions = {
        "manage_lifecycle": False,
        "stop_actions": ["restart"],
        **action("restart", type="lifecycle", target="reward_node",
                 values=["deactivate", "activate"]),
    }  # fmt: skip
    with managed(model, up=False, instruction=TASK, manager=actions) as stack:
        assert stack.change("configure") and stack.change("activate")
        stack.wait(lambda: stack.manager.client.state == "active")
        yield stack


def test_a_lifecycle_action_of_several_transitions_makes_all_of_them(restarting):
    _, result = restarting.run_one(time_limit=1.0)
    assert result.termination_reason == "timeout" and result.stop_actions_done
    ended = lambda: restarting.named("stopped")[-1]  # noqa: E731
    restarting.wait(lambda: ended().episode_id == result.episode_id, 20.0)
    assert ended().termination_reason == "deactivated"
    restarting.wait(lambda: restarting.events[-1].event == "started")
    assert restarting.state() == "active"


def test_a_transition_that_an_earlier_attempt_has_made_is_not_made_again(restarting):
    made = []
    node = restarting.reward_node
    deactivate, activate = node.deactivate, node.activate

    async def count():
        made.append("deactivate")
        await deactivate()

    async def refuse_once():
        made.append("activate")
        if made.count("activate") == 1:
            raise TransitionRefused("not now")
        await activate()

    node.deactivate, node.activate = count, refuse_once
    _, result = restarting.run_one(time_limit=1.0)
    assert result.stop_actions_done and restarting.state() == "active"
    assert made == ["deactivate", "activate", "activate"]


@pytest.mark.parametrize(
    "name",
    [
        "/yam/emergency_stop",
        "/EmergencyStop",
        "/robot/estop",
        "/robot/e_stop",
        "/eStop",
        "/softwareEStop/trigger",
        "/safety_stop",
        "/franka/protective_stop",
        "/kill_switch",
        "/emerg_stop",
        "/emg_stop",
        "/em_stop",
        "/emStop",
        "/e/stop",
        "/E_STOP",
        "/estop2",
        "/robot1/estop",
        "/EStopTrigger",
        "/HWEStop",
        "/hwestop",
        "/safety/stop",
        "/SafetyStop",
        "/arm/halt_safety",
        "/stop_emergency",
        "/safeguard_stop",
        "/dead_man_stop",
        "/deadman_switch",
        "/dead-man",
        "press the e-stop",
        '{"command": "EMERGENCY"}',
    ],
)
def test_names_of_emergency_stops_are_known(name):
    assert is_emergency_stop(name)


@pytest.mark.parametrize(
    "name",
    [
        "/episode_recorder/stop_recording",
        "/hil_manager/end_episode",
        "/record_transition",
        "/episode_stop",
        "/episodeStop",
        "/gripper/release_stop",
        "/topreward/reward_node",
        "/system/stop",
        "/item_stop",
        "/ItemStop",
        "/halt_episode",
        "/recorder/stop_emf_log",
        "/stop/episode",
        "/teleop/stop/everything",
        "/deadline_stop",
        "/demand/stop",
        "/home/stop",
        "/emerging_tasks/stop",
        "joint_trajectory_controller",
        "save",
    ],
)
def test_names_of_ordinary_stops_are_none_of_them(name):
    assert not is_emergency_stop(name)


REFUSED = [
    ({"type": "trigger", "target": "/yam/emergency_stop"}, "named like an emergency stop"),
    ({"type": "string", "target": "e_stop", "values": ["x"]}, "named like an emergency stop"),
    ({"type": "string", "target": "/a", "values": ["save", "e-stop"]}, "it.values is 'e-stop'"),
    (
        {"type": "controller_switch", "target": "/a", "values": ["emergency_stop_controller"]},
        "it.values is 'emergency_stop_controller', which is named like an emergency stop",
    ),
    (
        {"type": "controller_switch", "target": "/a", "values": ["x"], "activate": ["safe_stop"]},
        "it.activate is 'safe_stop', which is named like an emergency stop",
    ),
    ({"type": "press", "target": "/a"}, "it.type is 'press'; expected trigger, set_bool"),
    ({"type": "trigger"}, "it.target is empty"),
    ({"type": "trigger", "target": "/a b"}, "it.target is '/a b'; expected a ROS name"),
    ({"type": "string", "target": "/a"}, "it.values is empty"),
    ({"type": "lifecycle", "target": "/a", "values": ["halt"]}, "expected transitions among"),
    ({"type": "trigger", "target": "/a", "when": ["sucess"]}, "it.when names 'sucess'"),
    ({"type": "trigger", "target": "/a", "retries": -1}, "it.retries is -1; expected 0 to 100"),
    ({"type": "trigger", "target": "/a", "timeout": "x"}, "it.timeout is 'x'; expected a number"),
]


@pytest.mark.parametrize(("settings", "sentence"), REFUSED, ids=lambda value: str(value)[:40])
def test_an_action_that_cannot_or_must_not_be_is_refused_at_the_start(settings, sentence):
    with pytest.raises(ParameterError) as refused:
        _manager({"stop_actions": ["it"], **action("it", **settings)})
    assert sentence in str(refused.value)


def test_an_emergency_stop_is_taken_only_where_it_is_allowed():
    given = {"stop_actions": ["it"], **action("it", type="trigger", target="/yam/emergency_stop")}
    node = _manager({**given, "allow_emergency_stop": True})
    assert [one.name for one in node.actions.actions] == ["it"]
    node.destroy_node()


def test_a_remapped_name_of_an_emergency_stop_is_refused_too():
    given = {"stop_actions": ["it"], **action("it", type="trigger", target="/end_episode")}
    with pytest.raises(ParameterError, match="emergency"):
        _manager(given, cli_args=["--ros-args", "-r", "/end_episode:=/robot/estop"])


def switching(**settings: object) -> dict[str, object]:
    given = {"type": "controller_switch", "target": "/arm_control", "values": ["policy"]}
    return {"stop_actions": ["it"], **action("it", **{**given, **settings})}


def test_a_controller_switch_needs_its_messages_or_is_refused_with_a_sentence(monkeypatch):
    for name in ("controller_manager_msgs", "controller_manager_msgs.srv"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ParameterError, match="controller_manager_msgs cannot be"):
        _manager(switching())


def test_a_controller_switch_is_made_with_the_installed_messages():
    pytest.importorskip("controller_manager_msgs")
    _manager(switching(activate=["hold"])).destroy_node()


@pytest.fixture
def arm(model, monkeypatch):
    """A manager that switches an arm's controllers at each end, and a reward node."""
    stub_controllers.install(monkeypatch)
    given = switching(activate=["hold"], when=["timeout"], timeout=5.0, retries=1)
    with managed(model, instruction=TASK, manager=given) as lab:
        yield lab


def test_controllers_are_switched_strictly_and_what_is_switched_already_is_left_alone(arm):
    controllers = ControllerManager(arm.node, "/arm_control", policy="active", hold="inactive")
    arm.wait(lambda: arm.manager.count_services("/arm_control/list_controllers") == 1)
    assert arm.run_one(time_limit=1.0)[1].stop_actions_done
    assert controllers.states == {"policy": "inactive", "hold": "active"}
    assert arm.run_one(time_limit=1.0)[1].stop_actions_done
    controllers.states["policy"] = "active"
    assert arm.run_one(time_limit=1.0)[1].stop_actions_done
    assert controllers.asked == [(["policy"], ["hold"]), (["policy"], [])]


def test_a_switch_that_was_made_although_it_was_refused_is_done_with_the_next_attempt(arm):
    controllers = ControllerManager(arm.node, "/arm_control", policy="active", hold="inactive")
    controllers.refusals = 1
    assert arm.run_one(time_limit=1.0)[1].stop_actions_done
    assert len(controllers.asked) == 1
    assert "attempt 2" in arm.await_event("stop_action").detail


def test_a_controller_that_is_not_there_is_not_stopped(arm):
    controllers = ControllerManager(arm.node, "/arm_control", hold="inactive")
    assert not arm.run_one(time_limit=1.0)[1].stop_actions_done
    assert controllers.states == {"hold": "inactive"}
    detail = arm.await_event("stop_action").detail
    assert "FAILED after 2 attempt(s): the controller manager refused" in detail


def test_a_controller_manager_that_is_absent_costs_the_timeouts(model, monkeypatch):
    stub_controllers.install(monkeypatch)
    given = switching(when=["timeout"], timeout=0.3, retries=0)
    with managed(model, instruction=TASK, manager=given) as lab:
        assert not lab.run_one(time_limit=1.0)[1].stop_actions_done
        assert "switch_controller did not answer" in lab.await_event("stop_action").detail


def _manager(parameters: dict[str, object], **options: object) -> EpisodeManager:
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    return EpisodeManager(parameter_overrides=overrides, use_global_arguments=False, **options)
